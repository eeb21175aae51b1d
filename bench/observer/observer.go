// SPDX-License-Identifier: Apache-2.0

// Package observer measures from outside: it has watches of its own on every
// kind that a pipeline is made of and notes when each change arrives.
package observer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Key names an object.
type Key struct {
	Kind            schema.GroupKind
	Namespace, Name string
}

func (k Key) String() string { return k.Kind.Kind + " " + k.Namespace + "/" + k.Name }

// Change is a change of an object as it arrived.
type Change struct {
	Key     Key
	Version string
	UID     types.UID
	// Entry is a digest of the fields that the operator's apply owns.
	Entry string
	// Pipeline that the object is labelled with.
	Pipeline types.NamespacedName
	Gone     bool
	At       time.Time
}

// Pipeline is what the observer saw of a SparkPipeline.
type Pipeline struct {
	// Created is when it arrived first.
	Created time.Time
	// LastChild is when the last of its children arrived that was new.
	LastChild time.Time
	// Settled is when its status first said that its spec is applied in full and
	// named its application; zero before. An edit of the spec begins anew.
	Settled time.Time
	// Ready is when its condition Ready first became True; zero while it is not.
	Ready time.Time
	// Children that its status lists, the application apart.
	Children int

	generation int64
}

// Observer holds what its watches told. It is safe for concurrent use.
type Observer struct {
	mu        sync.Mutex
	live      map[Key]Change
	children  map[types.NamespacedName]int
	pipelines map[types.NamespacedName]*Pipeline
	history   []Change
	recording bool
	broken    error
}

// Kinds are the kinds of a pipeline's children with its application, each once.
func Kinds(scheme *runtime.Scheme, mapper meta.RESTMapper) ([]meta.RESTMapping, error) {
	seen := map[schema.GroupVersionKind]bool{}
	var out []meta.RESTMapping
	add := func(gvk schema.GroupVersionKind) error {
		if seen[gvk] {
			return nil
		}
		seen[gvk] = true
		m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if meta.IsNoMatchError(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("find the resource of %s: %w", gvk.Kind, err)
		}
		out = append(out, *m)
		return nil
	}
	for _, k := range desired.Kinds() {
		gvk := k.Object.GetObjectKind().GroupVersionKind()
		if gvk.Empty() {
			gvks, _, err := scheme.ObjectKinds(k.Object)
			if err != nil {
				return nil, fmt.Errorf("kind of %T: %w", k.Object, err)
			}
			gvk = gvks[0]
		}
		if err := add(gvk); err != nil {
			return nil, err
		}
	}
	return out, add(sparkapi.GroupVersionKind)
}

// Start watches until the context ends.
func Start(ctx context.Context, config *rest.Config, kinds []meta.RESTMapping) (*Observer, error) {
	o := &Observer{live: map[Key]Change{}, children: map[types.NamespacedName]int{}, pipelines: map[types.NamespacedName]*Pipeline{}}
	metadatas, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the observer's client: %w", err)
	}
	dynamics, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the observer's client: %w", err)
	}
	for _, k := range kinds {
		kind := k.GroupVersionKind.GroupKind()
		client := metadatas.Resource(k.Resource)
		watcher := toolscache.ListWatch{WatchFuncWithContext: client.Watch}
		list, err := client.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.Resource.Resource, err)
		}
		for i := range list.Items {
			o.child(kind, &list.Items[i], false)
		}
		err = o.follow(ctx, list.ResourceVersion, &watcher, func(e runtime.Object, gone bool) {
			o.child(kind, e.(*metav1.PartialObjectMetadata), gone)
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", k.Resource.Resource, err)
		}
	}
	pipelines := dynamics.Resource(v1alpha1.GroupVersion.WithResource("sparkpipelines"))
	list, err := pipelines.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list SparkPipelines: %w", err)
	}
	err = o.follow(ctx, list.GetResourceVersion(), &toolscache.ListWatch{WatchFuncWithContext: pipelines.Watch},
		func(e runtime.Object, gone bool) { o.pipeline(e.(*unstructured.Unstructured), gone) })
	if err != nil {
		return nil, fmt.Errorf("watch SparkPipelines: %w", err)
	}
	return o, nil
}

// follow hands on every change after a version. A watch that the server ends is
// taken up where it was; one that cannot be breaks the observer, for what is
// measured over a gap would be wrong.
func (o *Observer) follow(ctx context.Context, version string, w *toolscache.ListWatch, tell func(runtime.Object, bool)) error {
	retry, err := toolswatch.NewRetryWatcherWithContext(ctx, version, w)
	if err != nil {
		return err
	}
	go func() {
		for e := range retry.ResultChan() {
			switch e.Type {
			case watch.Added, watch.Modified:
				tell(e.Object, false)
			case watch.Deleted:
				tell(e.Object, true)
			case watch.Error:
				o.fail(fmt.Errorf("a watch of the observer broke: %v", e.Object))
			}
		}
		if ctx.Err() == nil {
			o.fail(errors.New("a watch of the observer ended"))
		}
	}()
	return nil
}

func (o *Observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken == nil {
		o.broken = err
	}
}

func (o *Observer) child(kind schema.GroupKind, m *metav1.PartialObjectMetadata, gone bool) {
	c := Change{Key: Key{Kind: kind, Namespace: m.Namespace, Name: m.Name}, Version: m.ResourceVersion, UID: m.UID,
		Entry: entry(m.ManagedFields), Gone: gone, At: time.Now(), Pipeline: types.NamespacedName{
			Namespace: m.Labels[desired.LabelPipelineNamespace], Name: m.Labels[desired.LabelPipeline]}}
	o.mu.Lock()
	defer o.mu.Unlock()
	before, known := o.live[c.Key]
	if known && before.Pipeline.Name != "" {
		o.children[before.Pipeline]--
	}
	if gone {
		delete(o.live, c.Key)
	} else {
		o.live[c.Key] = c
		if c.Pipeline.Name != "" {
			o.children[c.Pipeline]++
		}
	}
	if p := o.pipelines[c.Pipeline]; p != nil && !known && !gone {
		p.LastChild = c.At
	}
	if o.recording {
		o.history = append(o.history, c)
	}
}

// entry is a digest of the fields that the operator's apply owns.
func entry(fields []metav1.ManagedFieldsEntry) string {
	for _, f := range fields {
		if f.Manager == apply.FieldManager && f.Operation == metav1.ManagedFieldsOperationApply && f.FieldsV1 != nil {
			sum := sha256.Sum256(f.FieldsV1.GetRawBytes())
			return hex.EncodeToString(sum[:8])
		}
	}
	return ""
}

func (o *Observer) pipeline(u *unstructured.Unstructured, gone bool) {
	key := types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}
	p := &v1alpha1.SparkPipeline{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, p); err != nil {
		o.fail(fmt.Errorf("read SparkPipeline %s: %w", key, err))
		return
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if gone {
		delete(o.pipelines, key)
		return
	}
	seen := o.pipelines[key]
	if seen == nil {
		seen = &Pipeline{Created: now}
		o.pipelines[key] = seen
	}
	if seen.generation != p.Generation {
		seen.generation, seen.Settled = p.Generation, time.Time{}
	}
	seen.Children = len(p.Status.Children)
	if seen.Settled.IsZero() && settled(p) {
		seen.Settled = now
	}
	switch {
	case !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady):
		seen.Ready = time.Time{}
	case seen.Ready.IsZero():
		seen.Ready = now
	}
}

// settled says that a status tells of a spec applied in full, application and all.
func settled(p *v1alpha1.SparkPipeline) bool {
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionApplied)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == p.Generation &&
		p.Status.Application != nil && p.Status.Application.UID != ""
}

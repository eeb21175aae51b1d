// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// APIs knows which kinds of children the cluster serves. The optional ones come
// and go with their CRDs: it is told by a watch on the CRDs' metadata, so a kind
// that appears is applied and watched at once, and one that is not there costs
// nothing.
type APIs struct {
	kinds []apply.Kind
	// optional maps the name of a CRD to the kind that it brings.
	optional map[string]schema.GroupVersionKind

	mu        sync.RWMutex
	installed map[schema.GroupVersionKind]bool
}

// NewAPIs lists the kinds of children from the registry and asks the API server
// which of the optional ones are installed. An API server that does not answer is
// an error, never a missing API.
func NewAPIs(scheme *runtime.Scheme, mapper meta.RESTMapper) (*APIs, error) {
	a := &APIs{optional: map[string]schema.GroupVersionKind{}, installed: map[schema.GroupVersionKind]bool{}}
	for _, k := range desired.Kinds() {
		gvk, err := apiutil.GVKForObject(k.Object, scheme)
		if err != nil {
			return nil, fmt.Errorf("kind of child %s: %w", k.Name, err)
		}
		a.kinds = append(a.kinds, apply.Kind{GVK: gvk, Wave: k.Wave, Durable: k.Durable, Once: k.Once})
	}
	all := []schema.GroupVersionKind{sparkapi.GroupVersionKind}
	for _, k := range a.kinds {
		all = append(all, k.GVK)
	}
	for _, gvk := range all {
		_, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil && !meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("ask for the API of %s: %w", gvk.Kind, err)
		}
		a.installed[gvk] = err == nil
		if strings.Contains(gvk.Group, ".") && !strings.HasSuffix(gvk.Group, ".k8s.io") || isCRD(gvk.Group) {
			plural, _ := meta.UnsafeGuessKindToResource(gvk)
			a.optional[plural.Resource+"."+gvk.Group] = gvk
		}
	}
	return a, nil
}

// isCRD names the groups under k8s.io that CRDs bring.
func isCRD(group string) bool {
	switch group {
	case "sparkoperator.k8s.io", "snapshot.storage.k8s.io", "autoscaling.k8s.io":
		return true
	}
	return false
}

// Installed says that the API server serves the kind.
func (a *APIs) Installed(gvk schema.GroupVersionKind) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.installed[gvk]
}

// Kinds lists the kinds of children that are installed, in the order of apply.
func (a *APIs) Kinds() []apply.Kind {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var out []apply.Kind
	for _, k := range a.kinds {
		if a.installed[k.GVK] {
			out = append(out, k)
		}
	}
	return out
}

// set notes that a kind came or went, and says whether that is news.
func (a *APIs) set(gvk schema.GroupVersionKind, installed bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.installed[gvk] == installed {
		return false
	}
	a.installed[gvk] = installed
	return true
}

// crdSource is a source of the controller: it tells APIs of CRDs that come and
// go, has kinds watched that came, and wakes all pipelines.
type crdSource struct {
	cache cache.Cache
	apis  *APIs
	watch func(schema.GroupVersionKind) error
	wake  func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request])

	registration toolscache.ResourceEventHandlerRegistration

	mu sync.Mutex
	// coming are kinds whose CRD is there and whose API is not yet, with what
	// ends the wait for it.
	coming map[schema.GroupVersionKind]context.CancelFunc
}

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,verbs=get;list;watch

// Start registers with the informer of the CRDs' metadata.
func (s *crdSource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(crdKind)
	informer, err := s.cache.GetInformer(ctx, crd, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch custom resource definitions: %w", err)
	}
	// A CRD is changed when it is established, or serves another version, or is
	// going: nothing can be created then, and all its objects go.
	changed := func(o any) {
		if crd, ok := o.(*metav1.PartialObjectMetadata); ok && crd.DeletionTimestamp != nil {
			s.gone(ctx, queue, o)
			return
		}
		s.there(ctx, queue, o)
	}
	s.registration, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, o any) { changed(o) },
		DeleteFunc: func(o any) { s.gone(ctx, queue, o) },
	})
	if err != nil {
		return fmt.Errorf("watch custom resource definitions: %w", err)
	}
	return nil
}

// WaitForSync waits until the CRDs that are there now have been seen.
func (s *crdSource) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), s.registration.HasSynced) {
		return fmt.Errorf("wait for custom resource definitions: %w", context.Cause(ctx))
	}
	return nil
}

// kind is the kind that a CRD brings, if it is one of ours.
func (s *crdSource) kind(o any) (schema.GroupVersionKind, bool) {
	if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	crd, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return schema.GroupVersionKind{}, false
	}
	gvk, ours := s.apis.optional[crd.Name]
	return gvk, ours
}

// establishing bounds the wait between a CRD and its API. It takes a second or
// two; an API that does not come in a minute, as that of another version, is
// tried again when its CRD changes.
var establishing = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.5, Steps: 15, Cap: 10 * time.Second}

// there begins to watch the kind of a CRD as soon as its API is served. The
// controller holds a lock while it starts, so that is done aside.
func (s *crdSource) there(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request], o any) {
	gvk, ours := s.kind(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ours || s.apis.Installed(gvk) || s.coming[gvk] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	if s.coming == nil {
		s.coming = map[schema.GroupVersionKind]context.CancelFunc{}
	}
	s.coming[gvk] = cancel
	go func() {
		defer cancel()
		err := wait.ExponentialBackoffWithContext(ctx, establishing, func(ctx context.Context) (bool, error) {
			err := s.watch(gvk)
			if err != nil {
				s.unwatch(ctx, gvk)
			}
			return err == nil, nil
		})
		if s.arrived(ctx, gvk, err == nil) {
			s.wake(ctx, queue)
		}
	}()
}

// arrived ends the wait for an API. It answers whether the API is there.
func (s *crdSource) arrived(ctx context.Context, gvk schema.GroupVersionKind, watched bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil { // The CRD has gone meanwhile, and is perhaps awaited anew.
		return false
	}
	delete(s.coming, gvk)
	return watched && s.apis.set(gvk, true)
}

// gone ends the watch of a kind whose CRD was removed.
func (s *crdSource) gone(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request], o any) {
	gvk, ours := s.kind(o)
	if !ours {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.coming[gvk]; cancel != nil {
		cancel()
		delete(s.coming, gvk)
	}
	news := s.apis.set(gvk, false)
	s.unwatch(ctx, gvk)
	if news {
		go s.wake(ctx, queue)
	}
}

// unwatch removes all that watches a kind; what is left of it would ask for it
// for ever.
func (s *crdSource) unwatch(ctx context.Context, gvk schema.GroupVersionKind) {
	metadata, full := &metav1.PartialObjectMetadata{}, &unstructured.Unstructured{}
	metadata.SetGroupVersionKind(gvk)
	full.SetGroupVersionKind(gvk)
	watched := []client.Object{metadata, full}
	if gvk == sparkapi.GroupVersionKind {
		watched = append(watched, &sparkapi.SparkApplication{})
	}
	for _, o := range watched {
		// Its only error is about a kind that has no name.
		_ = s.cache.RemoveInformer(ctx, o)
	}
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

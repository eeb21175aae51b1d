// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// observer watches everything with the rights of an admin and tells each run what
// happens to its objects.
type observer struct {
	dynamic dynamic.Interface
	kinds   map[schema.GroupVersionKind]schema.GroupVersionResource
	halt    context.CancelFunc
	factory dynamicinformer.DynamicSharedInformerFactory

	mu   sync.Mutex
	runs map[string]*run // by namespace
}

// change is one event of a watch. Nothing was there before a creation, nothing is
// after a deletion.
type change struct {
	before, after *unstructured.Unstructured
}

func (c change) object() *unstructured.Unstructured {
	if c.after != nil {
		return c.after
	}
	return c.before
}

func newObserver(config *rest.Config, scheme *runtime.Scheme, mapper meta.RESTMapper) (*observer, error) {
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	ctx, halt := context.WithCancel(context.Background())
	o := &observer{dynamic: d, halt: halt, runs: map[string]*run{}, kinds: map[schema.GroupVersionKind]schema.GroupVersionResource{},
		factory: dynamicinformer.NewDynamicSharedInformerFactory(d, 0)}
	gvks := []schema.GroupVersionKind{sparkapi.GroupVersionKind, v1alpha1.GroupVersion.WithKind("SparkPipeline"), corev1.SchemeGroupVersion.WithKind("Pod")}
	for _, k := range desired.Kinds() {
		gvk, err := apiutil.GVKForObject(k.Object, scheme)
		if err != nil {
			gvk = k.Object.GetObjectKind().GroupVersionKind()
		}
		gvks = append(gvks, gvk)
	}
	for _, gvk := range gvks {
		if _, twice := o.kinds[gvk]; twice {
			continue
		}
		mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			halt()
			return nil, err
		}
		o.kinds[gvk] = mapping.Resource
		if _, err := o.factory.ForResource(mapping.Resource).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(x any) { o.tell(change{after: asObject(x)}) },
			UpdateFunc: func(x, y any) { o.tell(change{before: asObject(x), after: asObject(y)}) },
			DeleteFunc: func(x any) { o.tell(change{before: asObject(x)}) },
		}); err != nil {
			halt()
			return nil, err
		}
	}
	o.factory.Start(ctx.Done())
	o.factory.WaitForCacheSync(ctx.Done())
	return o, nil
}

func asObject(x any) *unstructured.Unstructured {
	if gone, ok := x.(cache.DeletedFinalStateUnknown); ok {
		x = gone.Obj
	}
	return x.(*unstructured.Unstructured)
}

func (o *observer) stop() {
	o.halt()
	o.factory.Shutdown()
}

// tell hands a change to the run that the object belongs to.
func (o *observer) tell(c change) {
	x := c.object()
	if c.before != nil && c.after != nil && c.before.GetResourceVersion() == c.after.GetResourceVersion() {
		return // a relist
	}
	namespace := x.GetNamespace()
	if x.GetKind() == "Namespace" {
		namespace = x.GetName()
	}
	if owner := x.GetLabels()[desired.LabelPipelineNamespace]; owner != "" {
		namespace = owner
	}
	o.mu.Lock()
	r := o.runs[namespace]
	o.mu.Unlock()
	if r != nil {
		r.happened(c)
	}
}

// attach lets a run be told of what happens in namespaces.
func (o *observer) attach(r *run, namespaces ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ns := range namespaces {
		o.runs[ns] = r
	}
}

func (o *observer) detach(namespaces ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ns := range namespaces {
		delete(o.runs, ns)
	}
}

// resources lists what is watched, in a fixed order.
func (o *observer) resources() []schema.GroupVersionResource {
	return slices.SortedFunc(maps.Values(o.kinds), func(a, b schema.GroupVersionResource) int {
		return compareStrings(a.String(), b.String())
	})
}

// share is what of an object its writers want: neither what they observe of it nor
// what the API server keeps about it.
func share(o *unstructured.Unstructured) map[string]any {
	c := o.DeepCopy().Object
	delete(c, "status")
	for _, field := range []string{"resourceVersion", "generation", "managedFields", "finalizers"} {
		unstructured.RemoveNestedField(c, "metadata", field)
	}
	return c
}

// touched says that an update changed more than what somebody observed.
func (c change) touched() bool {
	return !equality.Semantic.DeepEqual(share(c.before), share(c.after))
}

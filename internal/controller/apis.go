// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
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
	watch func(context.Context, schema.GroupVersionKind) error
	wake  func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request])

	registration toolscache.ResourceEventHandlerRegistration
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
	s.registration, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.changed(ctx, queue, o, true) },
		DeleteFunc: func(o any) { s.changed(ctx, queue, o, false) },
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

func (s *crdSource) changed(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request], o any, installed bool) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	crd, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}
	gvk, ours := s.apis.optional[crd.Name]
	if !ours || !s.apis.set(gvk, installed) {
		return
	}
	// The controller holds a lock while it starts, so a watch is begun aside.
	go func() {
		if installed {
			if err := s.watch(ctx, gvk); err != nil && ctx.Err() == nil {
				s.apis.set(gvk, false)
				return
			}
		} else {
			gone := &metav1.PartialObjectMetadata{}
			gone.SetGroupVersionKind(gvk)
			_ = s.cache.RemoveInformer(ctx, gone)
		}
		s.wake(ctx, queue)
	}()
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

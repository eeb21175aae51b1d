// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// crdSource is a source of the controller: it tells APIs of CRDs that come and
// go, has kinds watched that came, and wakes all pipelines. A kind counts as
// installed once the cache holds its objects: a read of one that cannot be listed,
// for its conversion webhook is down, would block the worker that asks.
type crdSource struct {
	watcher
	wake func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request])
	// expected are the kinds that were installed at the start.
	expected []schema.GroupVersionKind

	registration toolscache.ResourceEventHandlerRegistration

	mu sync.Mutex
	// coming are kinds whose CRD is there and whose objects are not yet, with what
	// ends the wait for them.
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

// holdUp is how long the start waits for optional APIs. One that does not answer
// until then is missing until it does.
const holdUp = 30 * time.Second

// WaitForSync waits until the CRDs that are there now have been seen, and, for a
// while, until the objects of those that were there at the start have been.
func (s *crdSource) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), s.registration.HasSynced) {
		return fmt.Errorf("wait for custom resource definitions: %w", context.Cause(ctx))
	}
	late := func(gvk schema.GroupVersionKind) bool { return !s.apis.Installed(gvk) }
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, holdUp, true, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(s.expected, late), nil
	})
	if err != nil && ctx.Err() == nil {
		ctrl.LoggerFrom(ctx).Info("Started without optional APIs that do not answer", "kinds", slices.DeleteFunc(slices.Clone(s.expected),
			func(gvk schema.GroupVersionKind) bool { return !late(gvk) }))
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
	go s.begin(ctx, cancel, queue, gvk)
}

// begin has a kind watched. It does not end before the CRD goes, or its objects
// are in the cache, or its API does not come.
func (s *crdSource) begin(ctx context.Context, cancel context.CancelFunc, queue workqueue.TypedRateLimitingInterface[reconcile.Request], gvk schema.GroupVersionKind) {
	defer cancel()
	err := wait.ExponentialBackoffWithContext(ctx, establishing, func(ctx context.Context) (bool, error) {
		err := s.hold(ctx, gvk)
		if err != nil {
			s.unwatch(ctx, gvk)
		}
		return err == nil, nil
	})
	if err == nil && !s.held(ctx, gvk) || !s.arrived(ctx, gvk, err == nil) {
		return
	}
	// Until the controller has started this waits for it.
	if err := s.watcher.children(gvk); err != nil && ctx.Err() == nil {
		ctrl.LoggerFrom(ctx).Error(err, "An optional API is not watched", "kind", gvk)
	}
	s.wake(ctx, queue)
}

// hold begins to fill the caches with the objects of a kind.
func (s *crdSource) hold(ctx context.Context, gvk schema.GroupVersionKind) error {
	if err := s.index(gvk); err != nil {
		return err
	}
	for _, o := range views(gvk) {
		if _, err := s.cache.GetInformer(ctx, o, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watch %s: %w", gvk.Kind, err)
		}
	}
	return nil
}

// held waits until the caches are filled. It answers whether they are.
func (s *crdSource) held(ctx context.Context, gvk schema.GroupVersionKind) bool {
	for _, o := range views(gvk) {
		informer, err := s.cache.GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if err != nil || !toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return false
		}
	}
	return true
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
	for _, o := range views(gvk) {
		// Its only error is about a type that has no kind.
		_ = s.cache.RemoveInformer(ctx, o)
	}
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

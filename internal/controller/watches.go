// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Options of the controller.
type Options struct {
	// Workers is how many pipelines are reconciled side by side.
	Workers int
}

// slowest is the longest wait between two tries of a pass that fails.
const slowest = 2 * time.Minute

// SetupWithManager starts the controller with mgr.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, o Options) error {
	c, err := controller.New("sparkpipeline", mgr, controller.Options{
		Reconciler:              r,
		MaxConcurrentReconciles: o.Workers,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			50*time.Millisecond, slowest),
	})
	if err != nil {
		return fmt.Errorf("make the controller: %w", err)
	}
	w := watcher{cache: mgr.GetCache(), controller: c, apis: r.APIs, engine: r.Engine}
	if r.Reports != nil {
		if err := mgr.Add(r.Reports); err != nil {
			return fmt.Errorf("add the reader of reports: %w", err)
		}
		if err := c.Watch(source.Channel(r.Reports.wake, &handler.EnqueueRequestForObject{})); err != nil {
			return fmt.Errorf("watch reports: %w", err)
		}
	}
	return w.all(r.ClusterWide)
}

type watcher struct {
	cache      cache.Cache
	controller controller.Controller
	apis       *APIs
	engine     *apply.Engine
}

// all watches what is there at the start. Optional kinds are watched aside, by
// crdSource, so that none of them can hold up the start. In namespaced mode what
// has no namespace cannot be watched: CRDs are then looked for once.
func (w watcher) all(clusterWide bool) error {
	sources := []source.Source{
		source.Kind(w.cache, &v1alpha1.SparkPipeline{}, &handler.TypedEnqueueRequestForObject[*v1alpha1.SparkPipeline]{},
			predicate.Or(predicate.TypedGenerationChangedPredicate[*v1alpha1.SparkPipeline]{},
				predicate.TypedAnnotationChangedPredicate[*v1alpha1.SparkPipeline]{})),
		source.Kind(w.cache, &corev1.Pod{}, handler.TypedEnqueueRequestsFromMapFunc(ofPod)),
		source.Kind(w.cache, &appsv1.StatefulSet{}, handler.TypedEnqueueRequestsFromMapFunc(ofExecutorSet)),
	}
	if clusterWide {
		sources = append(sources,
			source.Kind(w.cache, &discoveryv1.EndpointSlice{}, handler.TypedEnqueueRequestsFromMapFunc(
				func(ctx context.Context, _ *discoveryv1.EndpointSlice) []reconcile.Request {
					return w.everyPipeline(ctx)
				})),
			source.Kind(w.cache, namespaceMetadata(), handler.TypedEnqueueRequestsFromMapFunc(w.inNamespace),
				annotationChanged{}),
			&crdSource{watcher: w, wake: w.wakeAll, expected: w.apis.await()})
	}
	for _, s := range sources {
		if err := w.controller.Watch(s); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	for _, gvk := range w.distinct() {
		if err := w.index(gvk); err != nil {
			return err
		}
		if err := w.children(gvk); err != nil {
			return err
		}
	}
	return nil
}

// views are the forms in which objects of a kind are watched: children by their
// metadata, and those that can be applied and not ready as a whole too.
func views(gvk schema.GroupVersionKind) []client.Object {
	if gvk == sparkapi.GroupVersionKind {
		return []client.Object{&sparkapi.SparkApplication{}}
	}
	meta, full := &metav1.PartialObjectMetadata{}, &unstructured.Unstructured{}
	meta.SetGroupVersionKind(gvk)
	full.SetGroupVersionKind(gvk)
	switch gvk {
	case batchv1.SchemeGroupVersion.WithKind("CronJob"):
		return []client.Object{meta, &batchv1.CronJob{}}
	case batchv1.SchemeGroupVersion.WithKind("Job"):
		return []client.Object{meta, &batchv1.Job{}}
	}
	if observe.HasReadiness(gvk.GroupKind()) {
		return []client.Object{meta, full}
	}
	return []client.Object{meta}
}

// index has children of a kind found by their owner. It is to be called once for
// each informer.
func (w watcher) index(gvk schema.GroupVersionKind) error {
	if gvk == sparkapi.GroupVersionKind {
		return nil
	}
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(gvk)
	if err := w.cache.IndexField(context.Background(), meta, apply.IndexOwner, apply.OwnerKey); err != nil {
		return fmt.Errorf("index %s by owner: %w", gvk.Kind, err)
	}
	return nil
}

// distinct lists the installed kinds to watch, each once. Of Secrets nothing is
// ever read.
func (w watcher) distinct() []schema.GroupVersionKind {
	seen := map[schema.GroupVersionKind]bool{}
	var out []schema.GroupVersionKind
	for _, k := range w.apis.Kinds() {
		if !k.Once && !seen[k.GVK] {
			seen[k.GVK] = true
			out = append(out, k.GVK)
		}
	}
	if w.apis.Installed(sparkapi.GroupVersionKind) {
		out = append(out, sparkapi.GroupVersionKind)
	}
	return out
}

// children watches the children of one kind in all their views.
func (w watcher) children(gvk schema.GroupVersionKind) error {
	for _, view := range views(gvk) {
		var s source.Source
		switch view := view.(type) {
		case *sparkapi.SparkApplication:
			s = source.Kind(w.cache, view, handler.TypedEnqueueRequestsFromMapFunc(ofChild[*sparkapi.SparkApplication]), applicationChanged{})
		case *metav1.PartialObjectMetadata:
			s = source.Kind(w.cache, view, handler.TypedEnqueueRequestsFromMapFunc(ofChild[*metav1.PartialObjectMetadata]), childChanged{engine: w.engine})
		case *batchv1.CronJob:
			s = source.Kind(w.cache, view, handler.TypedEnqueueRequestsFromMapFunc(ofChild[*batchv1.CronJob]), backedUp{})
		case *batchv1.Job:
			s = source.Kind(w.cache, view, handler.TypedEnqueueRequestsFromMapFunc(ofChild[*batchv1.Job]), succeeded{})
		case *unstructured.Unstructured:
			s = source.Kind(w.cache, view, handler.TypedEnqueueRequestsFromMapFunc(ofChild[*unstructured.Unstructured]), readinessChanged{})
		}
		if err := w.controller.Watch(s); err != nil {
			return fmt.Errorf("watch %s: %w", gvk.Kind, err)
		}
	}
	return nil
}

// ofChild names the pipeline that a child belongs to.
func ofChild[T client.Object](_ context.Context, o T) []reconcile.Request {
	labels := o.GetLabels()
	name, namespace := labels[desired.LabelPipeline], labels[desired.LabelPipelineNamespace]
	if name == "" || namespace == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}

// ofPod names the pipeline that a pod belongs to. kubeflow copies the labels of
// the SparkApplication onto those of Spark; those of the agent name it themselves.
func ofPod(ctx context.Context, pod *corev1.Pod) []reconcile.Request {
	if workload := pod.Labels[desired.LabelWorkload]; workload != "" {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.Labels[desired.LabelPipelineNamespace], Name: workload}}}
	}
	return ofChild(ctx, pod)
}

// ofExecutorSet names the pipeline of Spark's stateful set, which has no labels
// of its own: its pods' template has.
func ofExecutorSet(ctx context.Context, set *appsv1.StatefulSet) []reconcile.Request {
	return ofChild(ctx, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Labels: set.Spec.Template.Labels}})
}

func (w watcher) everyPipeline(ctx context.Context, in ...client.ListOption) []reconcile.Request {
	all := &v1alpha1.SparkPipelineList{}
	if err := w.cache.List(ctx, all, in...); err != nil {
		return nil
	}
	out := make([]reconcile.Request, len(all.Items))
	for i := range all.Items {
		out[i].NamespacedName = client.ObjectKeyFromObject(&all.Items[i])
	}
	return out
}

func (w watcher) wakeAll(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	for _, request := range w.everyPipeline(ctx) {
		queue.Add(request)
	}
}

func (w watcher) inNamespace(ctx context.Context, o *metav1.PartialObjectMetadata) []reconcile.Request {
	return w.everyPipeline(ctx, client.InNamespace(o.Name))
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return o
}

// childChanged lets through what can touch the operator's share of a child: its
// labels, its owner entry, its end. Everybody's status updates are not among it.
// It also tells the engine what the cache has come to hold.
type childChanged struct{ engine *apply.Engine }

func (c childChanged) Create(e event.TypedCreateEvent[*metav1.PartialObjectMetadata]) bool {
	c.engine.Seen(e.Object, false)
	return true
}

func (c childChanged) Delete(e event.TypedDeleteEvent[*metav1.PartialObjectMetadata]) bool {
	c.engine.Seen(e.Object, true)
	return true
}

func (childChanged) Generic(event.TypedGenericEvent[*metav1.PartialObjectMetadata]) bool { return true }

func (c childChanged) Update(e event.TypedUpdateEvent[*metav1.PartialObjectMetadata]) bool {
	a, b := e.ObjectOld, e.ObjectNew
	c.engine.Seen(b, false)
	return a.UID != b.UID || a.DeletionTimestamp.IsZero() != b.DeletionTimestamp.IsZero() ||
		!maps.Equal(a.Labels, b.Labels) || !maps.Equal(a.Annotations, b.Annotations)
}

// annotationChanged lets through changes of annotations.
type annotationChanged struct {
	predicate.TypedFuncs[*metav1.PartialObjectMetadata]
}

func (annotationChanged) Update(e event.TypedUpdateEvent[*metav1.PartialObjectMetadata]) bool {
	return e.ObjectOld.Annotations[desired.AnnotationAllowedNamespaces] != e.ObjectNew.Annotations[desired.AnnotationAllowedNamespaces]
}

// readinessChanged lets through changes of what readiness is judged by.
type readinessChanged struct {
	predicate.TypedFuncs[*unstructured.Unstructured]
}

func (readinessChanged) Update(e event.TypedUpdateEvent[*unstructured.Unstructured]) bool {
	return observe.Waiting(e.ObjectOld) != observe.Waiting(e.ObjectNew)
}

// backedUp lets through a backup that succeeded.
type backedUp struct {
	predicate.TypedFuncs[*batchv1.CronJob]
}

func (backedUp) Update(e event.TypedUpdateEvent[*batchv1.CronJob]) bool {
	return !e.ObjectOld.Status.LastSuccessfulTime.Equal(e.ObjectNew.Status.LastSuccessfulTime)
}

// succeeded lets through that a Job has.
type succeeded struct {
	predicate.TypedFuncs[*batchv1.Job]
}

func (succeeded) Update(e event.TypedUpdateEvent[*batchv1.Job]) bool {
	return e.ObjectOld.Status.Succeeded != e.ObjectNew.Status.Succeeded
}

// applicationChanged lets through changes of a SparkApplication that a decision
// could depend on. It compares trimmed objects, so the states of executors never
// get here.
type applicationChanged struct {
	predicate.TypedFuncs[*sparkapi.SparkApplication]
}

func (applicationChanged) Update(e event.TypedUpdateEvent[*sparkapi.SparkApplication]) bool {
	a, b := e.ObjectOld.DeepCopy(), e.ObjectNew.DeepCopy()
	a.ResourceVersion, b.ResourceVersion = "", ""
	return !equality.Semantic.DeepEqual(a, b)
}

// firstLine keeps of a message what fits into a status.
func firstLine(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	if len(line) > 512 {
		line = strings.ToValidUTF8(line[:512], "")
	}
	return line
}

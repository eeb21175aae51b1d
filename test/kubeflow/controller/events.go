// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]

// specFilter decides about restarts: when an update shows another spec, it writes
// the state INVALIDATING there and then. If that write fails the event is dropped,
// and the driver goes on with the old spec. Nothing compares specs afterwards, so
// a change that no controller was there to see is never acted upon either.
func (r *reconciler) specFilter() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*sparkapi.SparkApplication)
		if !ok {
			return false
		}
		after, ok := e.ObjectNew.(*sparkapi.SparkApplication)
		if !ok {
			return false
		}
		if before.ResourceVersion == after.ResourceVersion {
			return mayRetry(after)
		}
		if !restarts(before, after) {
			return true
		}
		app := after.DeepCopy()
		app.Status.ApplicationState.State = sparkapi.StateInvalidating
		if err := r.Status().Update(context.Background(), app); err != nil {
			log.Log.WithName("stand-in").Info("Spec change lost", "application", client.ObjectKeyFromObject(app), "error", err.Error())
			return false
		}
		return true
	}}
}

// restarts says whether an update ends the run: any change of the spec does but of
// suspend and of the time to live. A change of the generation alone is one of a
// field that the types here leave out.
func restarts(before, after *sparkapi.SparkApplication) bool {
	old := before.Spec.DeepCopy()
	exempt := !equality.Semantic.DeepEqual(old.Suspend, after.Spec.Suspend) ||
		!equality.Semantic.DeepEqual(old.TimeToLiveSeconds, after.Spec.TimeToLiveSeconds)
	old.Suspend, old.TimeToLiveSeconds = after.Spec.Suspend, after.Spec.TimeToLiveSeconds
	if !equality.Semantic.DeepEqual(*old, after.Spec) {
		return true
	}
	return before.Generation != after.Generation && !exempt
}

// podFilter lets events of Spark's pods pass, updates only with another phase: a
// container that ends while its pod goes on is not noticed.
func podFilter() predicate.Predicate {
	launched := predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetLabels()[spark.LabelLaunched] == "true"
	})
	return predicate.And(launched, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Pod)
		if !ok {
			return false
		}
		after, ok := e.ObjectNew.(*corev1.Pod)
		return ok && before.Status.Phase != after.Status.Phase
	}})
}

// podHandler enqueues the application of a pod, if the pod is of its current
// submission. While the application is invalidating, events of pods are dropped.
func (r *reconciler) podHandler() handler.EventHandler {
	enqueue := func(ctx context.Context, o client.Object, q queue) {
		key := client.ObjectKey{Namespace: o.GetNamespace(), Name: o.GetLabels()[spark.LabelAppName]}
		app := &sparkapi.SparkApplication{}
		if key.Name == "" || r.Get(ctx, key, app) != nil {
			return
		}
		if app.Status.SubmissionID != o.GetLabels()[spark.LabelSubmissionID] ||
			app.Status.ApplicationState.State == sparkapi.StateInvalidating {
			return
		}
		q.AddRateLimited(ctrl.Request{NamespacedName: key})
	}
	return everyEvent(enqueue)
}

// enqueueLimited enqueues an application at each of its events, by the rate limit
// that failures count against too.
func enqueueLimited() handler.EventHandler {
	return everyEvent(func(_ context.Context, o client.Object, q queue) {
		q.AddRateLimited(ctrl.Request{NamespacedName: client.ObjectKeyFromObject(o)})
	})
}

func everyEvent(enqueue func(context.Context, client.Object, queue)) handler.EventHandler {
	return handler.Funcs{
		CreateFunc:  func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, e.Object, q) },
		UpdateFunc:  func(ctx context.Context, e event.UpdateEvent, q queue) { enqueue(ctx, e.ObjectNew, q) },
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, e.Object, q) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { enqueue(ctx, e.Object, q) },
	}
}

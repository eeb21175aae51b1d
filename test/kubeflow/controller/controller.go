// SPDX-License-Identifier: Apache-2.0

// Package controller stands in for kubeflow's controller of SparkApplications. It
// goes through the same states under the same events, keeps the same counters,
// writes the same status and has the same blind spots, among them: a restart after
// a spec change is decided when the watch event arrives and can be lost; a status
// update that conflicts makes it submit twice; a driver container's end counts only
// with the pod's phase; the name of the driver pod is the only lock.
//
// What it leaves out: webhooks and their defaults, ingresses, batch schedulers, the
// ConfigMap of the JMX exporter, disruption budgets and events.
package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Submitter starts the driver of an application, as spark-submit in cluster mode
// does. It returns when the driver pod exists. The application's status has the
// submission id. What it answers with becomes the application's error message.
type Submitter interface {
	Submit(ctx context.Context, app *sparkapi.SparkApplication) error
}

// Options of the controller.
type Options struct {
	// Submitter starts drivers.
	Submitter Submitter
	// Second is how long a second of the application's retry intervals takes.
	// Tests make it shorter. Default: one second.
	Second time.Duration
	// DriverPodGrace is how long after a submission a missing driver pod is no
	// failure. Default: 10 s.
	DriverPodGrace time.Duration
	// Workers is how many applications are worked on side by side. Default: 10.
	Workers int
	// WithoutUIService makes no Service for the driver's UI.
	WithoutUIService bool
	// Reconciled is called after each step, with the application as it was read
	// before it. Tests wait by it until nothing is left to do.
	Reconciled func(app *sparkapi.SparkApplication)
}

func (o *Options) setDefaults() {
	if o.Second == 0 {
		o.Second = time.Second
	}
	if o.DriverPodGrace == 0 {
		o.DriverPodGrace = 10 * time.Second
	}
	if o.Workers == 0 {
		o.Workers = 10
	}
}

// reconciler moves applications from state to state.
type reconciler struct {
	client.Client
	options Options
}

// Add adds the controller to a manager, whose scheme must know SparkApplications
// and the kinds of Kubernetes. The namespaces are those of the manager's cache.
func Add(mgr manager.Manager, options Options) error {
	options.setDefaults()
	r := &reconciler{Client: mgr.GetClient(), options: options}
	err := ctrl.NewControllerManagedBy(mgr).Named("sparkapplication").
		Watches(&corev1.Pod{}, r.podHandler(), builder.WithPredicates(podFilter())).
		Watches(&sparkapi.SparkApplication{}, enqueueLimited(), builder.WithPredicates(r.specFilter())).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.Workers, SkipNameValidation: ptr.To(true)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of SparkApplications: %w", err)
	}
	return nil
}

// step changes the status of an application in one state. The change is written
// unless it answers with an error.
type step func(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error)

func (r *reconciler) steps() map[sparkapi.ApplicationState]step {
	return map[sparkapi.ApplicationState]step{
		sparkapi.StateNew:              r.submit,
		sparkapi.StateSubmitted:        r.followSubmitted,
		sparkapi.StateRunning:          r.follow,
		sparkapi.StateUnknown:          r.follow,
		sparkapi.StateSubmissionFailed: r.submitAgain,
		sparkapi.StateSucceeding:       r.end,
		sparkapi.StateFailing:          r.end,
		sparkapi.StateInvalidating:     r.invalidate,
		sparkapi.StatePendingRerun:     r.rerun,
		sparkapi.StateSuspending:       r.suspend,
		sparkapi.StateSuspended:        r.resume,
		sparkapi.StateResuming:         r.submit,
		sparkapi.StateCompleted:        r.expire,
		sparkapi.StateFailed:           r.expire,
	}
}

// Reconcile takes one step with one application.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	app := &sparkapi.SparkApplication{}
	if err := r.Get(ctx, req.NamespacedName, app); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.options.Reconciled != nil {
		defer r.options.Reconciled(app)
	}
	if !app.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.deleteResources(ctx, app)
	}
	state := app.Status.ApplicationState.State
	if mustSuspend(app) {
		return r.advance(ctx, req, state, func(_ context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
			app.Status.ApplicationState.State = sparkapi.StateSuspending
			return ctrl.Result{}, nil
		})
	}
	take, ok := r.steps()[state]
	if !ok {
		return ctrl.Result{}, nil
	}
	return r.advance(ctx, req, state, take)
}

// mustSuspend says whether an application is to be suspended and is not yet. One
// that has ended stays as it is.
func mustSuspend(app *sparkapi.SparkApplication) bool {
	state := app.Status.ApplicationState.State
	return ptr.Deref(app.Spec.Suspend, false) && !sparkapi.Terminal(state) &&
		state != sparkapi.StateSuspending && state != sparkapi.StateSuspended
}

// advance takes a step and writes the status it makes. When that write conflicts
// the whole step is taken again from what the cache now shows, a submission
// included: this is how the real one submits twice.
func (r *reconciler) advance(ctx context.Context, req ctrl.Request, from sparkapi.ApplicationState, take step) (ctrl.Result, error) {
	var result ctrl.Result
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cached := &sparkapi.SparkApplication{}
		if err := r.Get(ctx, req.NamespacedName, cached); err != nil {
			return err
		}
		if cached.Status.ApplicationState.State != from {
			return nil
		}
		app := cached.DeepCopy()
		var err error
		if result, err = take(ctx, app); err != nil {
			return err
		}
		return r.Status().Update(ctx, app)
	})
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return result, nil
}

// expire deletes an application whose time to live after its end is over.
func (r *reconciler) expire(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	if err := r.followExecutors(ctx, app); err != nil {
		return ctrl.Result{}, err
	}
	if app.Spec.TimeToLiveSeconds == nil || app.Status.TerminationTime.IsZero() {
		return ctrl.Result{}, nil
	}
	left := r.seconds(*app.Spec.TimeToLiveSeconds) - time.Since(app.Status.TerminationTime.Time)
	if left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Delete(ctx, app))
}

func (r *reconciler) seconds(n int64) time.Duration { return time.Duration(n) * r.options.Second }

func now() metav1.Time { return metav1.Now().Rfc3339Copy() }

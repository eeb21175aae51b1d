// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	ctrl "sigs.k8s.io/controller-runtime"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// submit starts a driver, the first one or another. Each try counts as a
// submission, each that works as an execution. Nothing is written before it ends.
func (r *reconciler) submit(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	s := &app.Status
	s.SubmissionID = uuid.NewString()
	s.DriverInfo.PodName = spark.DriverPodName(app)
	s.LastSubmissionAttemptTime = now()
	s.SubmissionAttempts++
	if err := r.options.Submitter.Submit(ctx, app); err != nil {
		s.ApplicationState = sparkapi.ApplicationStateStatus{
			State:        sparkapi.StateSubmissionFailed,
			ErrorMessage: "failed to submit spark application: " + err.Error(),
		}
		return ctrl.Result{}, ctx.Err()
	}
	s.ApplicationState = sparkapi.ApplicationStateStatus{State: sparkapi.StateSubmitted}
	s.ExecutionAttempts++
	return ctrl.Result{}, nil
}

// submitAgain retries a submission that failed, once its interval is over and
// nothing of an earlier one is left. What is left it deletes: a healthy driver
// that an earlier try had started too.
func (r *reconciler) submitAgain(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	if !mayRetry(app) {
		app.Status.ApplicationState.State = sparkapi.StateFailed
		app.Status.TerminationTime = now()
		return ctrl.Result{}, nil
	}
	wait, err := r.untilRetry(app)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	gone, err := r.resourcesGone(ctx, app)
	if err != nil {
		return ctrl.Result{}, err
	}
	if gone {
		return r.submit(ctx, app)
	}
	if err := r.deleteResources(ctx, app); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, fmt.Errorf("what an earlier submission of %s left behind is being deleted", app.Name)
}

// rerun submits once nothing of the last run is left. Executors are not looked at,
// and nobody comes back to an application whose driver's deletion was missed.
func (r *reconciler) rerun(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	gone, err := r.resourcesGone(ctx, app)
	if err != nil || !gone {
		return ctrl.Result{}, err
	}
	return r.submit(ctx, app)
}

// end decides what follows the end of a driver: another run, after the interval if
// it failed and at once if it did not, or the end of the application.
func (r *reconciler) end(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	failing := app.Status.ApplicationState.State == sparkapi.StateFailing
	if !mayRetry(app) {
		app.Status.ApplicationState.State = sparkapi.StateCompleted
		if failing {
			app.Status.ApplicationState.State = sparkapi.StateFailed
		}
		return ctrl.Result{}, nil
	}
	if failing {
		wait, err := r.untilRetry(app)
		if err != nil || wait > 0 {
			return ctrl.Result{RequeueAfter: wait}, err
		}
	}
	if err := r.deleteResources(ctx, app); err != nil {
		return ctrl.Result{}, err
	}
	forgetRun(app)
	app.Status.TerminationTime.Reset()
	app.Status.ApplicationState.State = sparkapi.StatePendingRerun
	return ctrl.Result{}, nil
}

// invalidate ends a run because of a spec change. It alone clears the counters.
func (r *reconciler) invalidate(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	if err := r.deleteResources(ctx, app); err != nil {
		return ctrl.Result{}, err
	}
	forgetRun(app)
	app.Status.SubmissionAttempts, app.Status.ExecutionAttempts = 0, 0
	app.Status.LastSubmissionAttemptTime.Reset()
	app.Status.TerminationTime.Reset()
	app.Status.ApplicationState.State = sparkapi.StatePendingRerun
	return ctrl.Result{}, nil
}

// suspend ends a run. The application is suspended as soon as the deletions are
// asked for, while its pods still run.
func (r *reconciler) suspend(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	if err := r.deleteResources(ctx, app); err != nil {
		return ctrl.Result{}, err
	}
	forgetRun(app)
	app.Status.ApplicationState.State = sparkapi.StateSuspended
	return ctrl.Result{}, nil
}

// resume goes on with a suspended application once the driver is gone.
func (r *reconciler) resume(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	gone, err := r.resourcesGone(ctx, app)
	if err != nil || !gone {
		return ctrl.Result{}, err
	}
	forgetRun(app)
	if app.Spec.Suspend == nil || !*app.Spec.Suspend {
		app.Status.ApplicationState.State = sparkapi.StateResuming
	}
	return ctrl.Result{}, nil
}

// forgetRun clears what the status says of a run. Counters and submission id stay.
func forgetRun(app *sparkapi.SparkApplication) {
	app.Status.SparkApplicationID = ""
	app.Status.ApplicationState.ErrorMessage = ""
	app.Status.DriverInfo = sparkapi.DriverInfo{}
	app.Status.ExecutorState = nil
}

// mayRetry says whether the restart policy allows another try. The counters are of
// the object's life, so n retries are n+1 runs, however long each was healthy.
func mayRetry(app *sparkapi.SparkApplication) bool {
	policy, s := app.Spec.RestartPolicy, app.Status
	if policy.Type == sparkapi.RestartAlways {
		return true
	}
	if policy.Type != sparkapi.RestartOnFailure {
		return false
	}
	switch s.ApplicationState.State {
	case sparkapi.StateFailing:
		return policy.OnFailureRetries != nil && s.ExecutionAttempts <= *policy.OnFailureRetries
	case sparkapi.StateSubmissionFailed:
		return policy.OnSubmissionFailureRetries != nil && s.SubmissionAttempts <= *policy.OnSubmissionFailureRetries
	}
	return false
}

// untilRetry is how long to wait before the next try: the interval times the
// submissions so far, counted from the last submission, not from its failure.
func (r *reconciler) untilRetry(app *sparkapi.SparkApplication) (time.Duration, error) {
	policy, s := app.Spec.RestartPolicy, app.Status
	interval := policy.OnFailureRetryInterval
	if s.ApplicationState.State == sparkapi.StateSubmissionFailed {
		interval = policy.OnSubmissionFailureRetryInterval
	}
	if interval == nil || s.LastSubmissionAttemptTime.IsZero() || s.SubmissionAttempts <= 0 {
		return 0, fmt.Errorf("no time for the next try: interval %v, last try %v, tries %d",
			interval, s.LastSubmissionAttemptTime, s.SubmissionAttempts)
	}
	return r.seconds(*interval*int64(s.SubmissionAttempts)) - time.Since(s.LastSubmissionAttemptTime.Time), nil
}

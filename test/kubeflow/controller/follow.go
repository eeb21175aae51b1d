// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// followSubmitted is follow and the Service for the driver's UI.
func (r *reconciler) followSubmitted(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	result, err := r.follow(ctx, app)
	if err != nil || r.options.WithoutUIService {
		return result, err
	}
	return result, r.ensureUIService(ctx, app)
}

// follow reads the state of an application off its pods.
func (r *reconciler) follow(ctx context.Context, app *sparkapi.SparkApplication) (ctrl.Result, error) {
	if err := r.followDriver(ctx, app); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.followExecutors(ctx, app)
}

func (r *reconciler) followDriver(ctx context.Context, app *sparkapi.SparkApplication) error {
	s := &app.Status
	pod := &corev1.Pod{}
	err := r.Get(ctx, client.ObjectKey{Namespace: app.Namespace, Name: s.DriverInfo.PodName}, pod)
	if apierrors.IsNotFound(err) {
		return r.missDriver(app)
	}
	if err != nil {
		return fmt.Errorf("read the driver pod: %w", err)
	}
	s.SparkApplicationID = pod.Labels[spark.LabelAppID]
	state := driverState(pod)
	if state == sparkapi.StateSucceeding || state == sparkapi.StateFailing {
		if s.TerminationTime.IsZero() {
			s.TerminationTime = now()
		}
	}
	if state == sparkapi.StateFailing {
		s.ApplicationState.ErrorMessage = "driver container status missing"
		if t := terminated(pod, spark.DriverContainer); t != nil {
			s.ApplicationState.ErrorMessage = fmt.Sprintf("driver container failed with ExitCode: %d, Reason: %s", t.ExitCode, t.Reason)
		}
	}
	s.ApplicationState.State = state
	return nil
}

// missDriver judges a driver pod that is not there: a failure, but for a while
// after a submission.
func (r *reconciler) missDriver(app *sparkapi.SparkApplication) error {
	s := &app.Status
	since := time.Since(s.LastSubmissionAttemptTime.Time)
	if s.ApplicationState.State == sparkapi.StateSubmitted && since <= r.options.DriverPodGrace {
		return fmt.Errorf("driver pod %s is not there yet", s.DriverInfo.PodName)
	}
	s.ApplicationState = sparkapi.ApplicationStateStatus{State: sparkapi.StateFailing, ErrorMessage: "driver pod not found"}
	s.TerminationTime = now()
	return nil
}

// driverState is the application's state that a driver pod stands for. A container
// that has ended counts before the pod's phase says so, but only when something
// else made somebody look.
func driverState(pod *corev1.Pod) sparkapi.ApplicationState {
	t := terminated(pod, spark.DriverContainer)
	switch pod.Status.Phase {
	case corev1.PodPending:
		return sparkapi.StateSubmitted
	case corev1.PodRunning:
		if t == nil {
			return sparkapi.StateRunning
		}
	case corev1.PodSucceeded:
		return sparkapi.StateSucceeding
	case corev1.PodFailed:
	default:
		return sparkapi.StateUnknown
	}
	if t != nil && t.ExitCode == 0 {
		return sparkapi.StateSucceeding
	}
	return sparkapi.StateFailing
}

func terminated(pod *corev1.Pod, container string) *corev1.ContainerStateTerminated {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == container {
			return c.State.Terminated
		}
	}
	return nil
}

// followExecutors records the executors' pods of the submission by name. Entries
// of executors that ended stay for as long as the run.
func (r *reconciler) followExecutors(ctx context.Context, app *sparkapi.SparkApplication) error {
	pods := &corev1.PodList{}
	err := r.List(ctx, pods, client.InNamespace(app.Namespace), client.MatchingLabels{
		spark.LabelAppName: app.Name, spark.LabelSubmissionID: app.Status.SubmissionID, spark.LabelRole: spark.RoleExecutor})
	if err != nil {
		return fmt.Errorf("list the executors: %w", err)
	}
	s := &app.Status
	if s.ExecutorState == nil {
		s.ExecutorState = map[string]sparkapi.ExecutorState{}
	}
	there := map[string]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		there[pod.Name] = true
		s.ExecutorState[pod.Name] = executorState(pod.Status.Phase)
		s.SparkApplicationID = pod.Labels[spark.LabelAppID]
	}
	for name, state := range s.ExecutorState {
		if !there[name] && state != sparkapi.ExecutorCompleted && state != sparkapi.ExecutorFailed {
			s.ExecutorState[name] = missing(s.ApplicationState.State)
		}
	}
	return nil
}

func executorState(phase corev1.PodPhase) sparkapi.ExecutorState {
	switch phase {
	case corev1.PodPending:
		return sparkapi.ExecutorPending
	case corev1.PodRunning:
		return sparkapi.ExecutorRunning
	case corev1.PodSucceeded:
		return sparkapi.ExecutorCompleted
	case corev1.PodFailed:
		return sparkapi.ExecutorFailed
	}
	return sparkapi.ExecutorUnknown
}

// missing is what becomes of an executor whose pod is gone.
func missing(app sparkapi.ApplicationState) sparkapi.ExecutorState {
	switch app {
	case sparkapi.StateRunning:
		return sparkapi.ExecutorUnknown
	case sparkapi.StateCompleted:
		return sparkapi.ExecutorCompleted
	}
	return sparkapi.ExecutorFailed
}

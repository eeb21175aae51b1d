// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Run is what is known of a pipeline's application.
type Run struct {
	// Application are the facts that the next step is decided by.
	Application application.Facts
	// App is the object, trimmed; nil when there is none.
	App *sparkapi.SparkApplication
	// StateIdentity that the object was made with.
	StateIdentity map[string]string
	// Driver is the driver's pod, nil when there is none.
	Driver *corev1.Pod
	// Guard is what the guard of the driver's pod has said; nil: nothing yet.
	Guard *Verdict
	// DriverReady says that the driver's container runs and passes its probes.
	DriverReady bool
	// AppSelector is the id of the live run: empty while no driver lives.
	AppSelector string
	// Failures counts, for each executor's pod, its restarts and its own end.
	Failures map[types.UID]int32
	// Executors is the stateful set of the live run, nil when there is none.
	Executors *appsv1.StatefulSet
}

// Observer reads caches.
type Observer struct {
	// Cache answers from informers, never from the API server.
	Cache client.Reader
}

// Run gathers what is known of p's application in namespace ns. installed tells
// whether the backend's API is there.
func (o Observer) Run(ctx context.Context, p *v1alpha1.SparkPipeline, ns string, installed bool) (Run, error) {
	run := Run{Application: application.Facts{Installed: installed}, Failures: map[types.UID]int32{}}
	if installed {
		if err := o.app(ctx, p, ns, &run); err != nil {
			return Run{}, err
		}
	}
	pods := &corev1.PodList{}
	if err := o.Cache.List(ctx, pods, client.InNamespace(ns), client.MatchingLabels{desired.LabelPipeline: p.Name}); err != nil {
		return Run{}, fmt.Errorf("list pods of the application: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if Live(pod) {
			run.Application.LivePods = append(run.Application.LivePods, pod.Name)
		}
		if pod.Labels[desired.LabelSparkRole] == "driver" {
			run.Driver, run.Guard = pod, verdict(pod)
		} else {
			run.Failures[pod.UID] = failures(pod)
		}
	}
	slices.Sort(run.Application.LivePods)
	if run.Driver == nil || !Live(run.Driver) || run.Driver.DeletionTimestamp != nil {
		return run, nil
	}
	run.DriverReady = podReady(run.Driver)
	run.Application.DriverWaits = blocked(run.Driver)
	run.AppSelector = run.Driver.Labels[desired.LabelSparkApp]
	return run, o.executors(ctx, ns, &run)
}

func (o Observer) app(ctx context.Context, p *v1alpha1.SparkPipeline, ns string, run *Run) error {
	app := &sparkapi.SparkApplication{}
	err := o.Cache.Get(ctx, client.ObjectKey{Namespace: ns, Name: p.Name}, app)
	notWatched := (*cache.ErrResourceNotCached)(nil)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case meta.IsNoMatchError(err), errors.As(err, &notWatched):
		// The backend's API has gone since the pass began.
		run.Application.Installed = false
		return nil
	case err != nil:
		return fmt.Errorf("get the SparkApplication: %w", err)
	}
	run.App = app
	run.Application.App = &application.Running{
		UID: app.UID, Generation: app.Generation, Created: app.CreationTimestamp.Time,
		Deleting:     app.DeletionTimestamp != nil,
		SuspendAsked: app.Spec.Suspend != nil && *app.Spec.Suspend,
		State:        app.Status.ApplicationState.State,
		Digest:       app.Annotations[desired.AnnotationRendering],
	}
	_, _ = fmt.Sscan(app.Annotations[desired.AnnotationGeneration], &run.Application.App.SpecGeneration)
	if at := app.Status.LastSubmissionAttemptTime; !at.IsZero() {
		run.Application.App.SubmittedAt = at.Time
	}
	if identity := app.Annotations[desired.AnnotationStateIdentity]; identity != "" {
		if err := json.Unmarshal([]byte(identity), &run.StateIdentity); err != nil {
			return fmt.Errorf("read annotation %s of the SparkApplication: %w", desired.AnnotationStateIdentity, err)
		}
	}
	return nil
}

func (o Observer) executors(ctx context.Context, ns string, run *Run) error {
	if run.AppSelector == "" {
		return nil
	}
	set := &appsv1.StatefulSet{}
	err := o.Cache.Get(ctx, client.ObjectKey{Namespace: ns, Name: desired.ExecutorSetName(run.AppSelector)}, set)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get the executors' StatefulSet: %w", err)
	}
	run.Executors = set
	return nil
}

// Live says that a pod's processes may still run: it has not ended, even if it
// is being deleted.
func Live(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// unscheduled says why no node takes a pod; empty when one has.
func unscheduled(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

func failures(pod *corev1.Pod) int32 {
	var n int32
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	if pod.Status.Phase == corev1.PodFailed {
		n++
	}
	return n
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// APIServers are the addresses that the cluster's API server listens on. Network
// policies see these, not the address of its Service.
func (o Observer) APIServers(ctx context.Context) ([]desired.Endpoint, error) {
	found := &discoveryv1.EndpointSliceList{}
	err := o.Cache.List(ctx, found, client.InNamespace(metav1.NamespaceDefault),
		client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"})
	if err != nil {
		return nil, fmt.Errorf("list endpoints of the API server: %w", err)
	}
	var out []desired.Endpoint
	for _, s := range found.Items {
		for _, port := range s.Ports {
			for _, e := range s.Endpoints {
				for _, a := range e.Addresses {
					out = append(out, desired.Endpoint{Address: a, Port: *port.Port})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b desired.Endpoint) int { return strings.Compare(a.Address, b.Address) })
	return slices.Compact(out), nil
}

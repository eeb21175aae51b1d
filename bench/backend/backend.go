// SPDX-License-Identifier: Apache-2.0

// Package backend acts as little as it takes on SparkApplications for the operator
// to find them running, and stopped when it asks for that. The full stand-in for
// kubeflow's controller simulates time and pods; the bench wants neither.
package backend

import (
	"context"
	"errors"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// width is how many applications are worked on side by side.
const width = 8

// Backend starts applications and stops them.
type Backend struct {
	client client.WithWatch

	mu     sync.Mutex
	done   map[types.UID]sparkapi.ApplicationState
	failed error
}

// New returns a backend that acts with c.
func New(c client.WithWatch) *Backend {
	return &Backend{client: c, done: map[types.UID]sparkapi.ApplicationState{}}
}

// Run acts on every application until the context ends.
func (b *Backend) Run(ctx context.Context) error {
	slots := make(chan struct{}, width)
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		// The API server ends a watch after a while; a new one begins with all
		// there is.
		w, err := b.client.Watch(ctx, &sparkapi.SparkApplicationList{})
		if err != nil {
			return ignoreEnd(ctx, fmt.Errorf("watch applications: %w", err))
		}
		for e := range w.ResultChan() {
			app, ok := e.Object.(*sparkapi.SparkApplication)
			if !ok || e.Type == watch.Deleted || !b.claim(app) {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				b.keep(ignoreEnd(ctx, b.act(ctx, app)))
			})
		}
		if err := b.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Err is the first failure.
func (b *Backend) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *Backend) keep(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return client.IgnoreNotFound(err)
}

// wanted is the state that an application is to be brought to.
func wanted(app *sparkapi.SparkApplication) sparkapi.ApplicationState {
	if ptr.Deref(app.Spec.Suspend, false) {
		return sparkapi.StateSuspended
	}
	return sparkapi.StateRunning
}

// claim says whether there is something to do that nobody does yet.
func (b *Backend) claim(app *sparkapi.SparkApplication) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if app.DeletionTimestamp != nil || b.done[app.UID] == wanted(app) || app.Status.ApplicationState.State == wanted(app) {
		return false
	}
	b.done[app.UID] = wanted(app)
	return true
}

func (b *Backend) act(ctx context.Context, app *sparkapi.SparkApplication) error {
	if wanted(app) == sparkapi.StateSuspended {
		return b.stop(ctx, app)
	}
	return b.start(ctx, app)
}

// runID is what Spark would call the run.
func runID(app *sparkapi.SparkApplication) string { return "spark-" + string(app.UID) }

func (b *Backend) start(ctx context.Context, app *sparkapi.SparkApplication) error {
	driver, set := pods(app)
	if err := b.client.Create(ctx, driver); err != nil {
		return fmt.Errorf("create driver of %s: %w", app.Name, err)
	}
	ready := client.RawPatch(types.MergePatchType, []byte(
		`{"status":{"phase":"Running","conditions":[{"type":"PodScheduled","status":"True"},{"type":"Ready","status":"True"}]}}`))
	if err := b.client.Status().Patch(ctx, driver, ready); err != nil {
		return fmt.Errorf("run driver of %s: %w", app.Name, err)
	}
	if err := b.client.Create(ctx, set); err != nil {
		return fmt.Errorf("create executors of %s: %w", app.Name, err)
	}
	count := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"replicas":%[1]d,"readyReplicas":%[1]d}}`, *set.Spec.Replicas))
	if err := b.client.Status().Patch(ctx, set, count); err != nil {
		return fmt.Errorf("run executors of %s: %w", app.Name, err)
	}
	return b.report(ctx, app, fmt.Sprintf(`{"status":{"driverInfo":{},"applicationState":{"state":"RUNNING"},"sparkApplicationId":%q,"submissionID":%q,
		"executionAttempts":1,"submissionAttempts":1,"lastSubmissionAttemptTime":%q}}`,
		runID(app), app.UID, metav1.Now().UTC().Format("2006-01-02T15:04:05Z")))
}

func (b *Backend) stop(ctx context.Context, app *sparkapi.SparkApplication) error {
	driver, set := pods(app)
	err := errors.Join(client.IgnoreNotFound(b.client.Delete(ctx, driver)), client.IgnoreNotFound(b.client.Delete(ctx, set)))
	if err != nil {
		return fmt.Errorf("stop %s: %w", app.Name, err)
	}
	return b.report(ctx, app, `{"status":{"driverInfo":{},"applicationState":{"state":"SUSPENDED"}}}`)
}

func (b *Backend) report(ctx context.Context, app *sparkapi.SparkApplication, status string) error {
	err := b.client.Status().Patch(ctx, app.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(status)))
	if err != nil {
		return fmt.Errorf("report on %s: %w", app.Name, err)
	}
	return nil
}

// Flap changes the states of an application's executors, as kubeflow's controller
// does every few seconds, and nothing that anybody decides by.
func Flap(ctx context.Context, c client.Client, key types.NamespacedName, round int) error {
	app := &sparkapi.SparkApplication{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	state := []sparkapi.ExecutorState{sparkapi.ExecutorRunning, sparkapi.ExecutorPending}[round%2]
	patch := fmt.Sprintf(`{"status":{"executorState":{"exec-1":%q,"exec-%d":"RUNNING"}}}`, state, round+2)
	if err := c.Status().Patch(ctx, app, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return fmt.Errorf("flap executors of %s: %w", key, err)
	}
	return nil
}

// pods are the driver's pod and the executors' StatefulSet of an application.
func pods(app *sparkapi.SparkApplication) (*corev1.Pod, *appsv1.StatefulSet) {
	labels := func(role string) map[string]string {
		l := map[string]string{desired.LabelSparkRole: role, desired.LabelSparkApp: runID(app)}
		for k, v := range app.Labels {
			l[k] = v
		}
		return l
	}
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(app, sparkapi.GroupVersionKind)}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "spark", Image: "none"}}}
	driver := &corev1.Pod{Spec: spec, ObjectMeta: metav1.ObjectMeta{
		Namespace: app.Namespace, Name: app.Name + "-driver", Labels: labels("driver"), OwnerReferences: owner}}
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: desired.ExecutorSetName(runID(app)), OwnerReferences: owner},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(ptr.Deref(app.Spec.Executor.Instances, 1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels("executor")},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels("executor")}, Spec: spec},
		}}
	return driver, set
}

// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow"
	"sparkpipeline.dev/operator/test/kubeflow/controller"
	"sparkpipeline.dev/operator/test/kubeflow/recording"
	"sparkpipeline.dev/operator/test/kubeflow/simulation"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// second is how long a second of the recordings' intervals takes here.
const second = 50 * time.Millisecond

// poll is how often is looked for what no watch tells.
const poll = 10 * time.Millisecond

// world is a namespace with the stand-in at work in it.
type world struct {
	ctx       context.Context
	namespace string
	pace      *pace
	spark     *simulation.Cluster
	recorder  *recording.Recorder
	// reconciled is the newest revision of the application that the controller has
	// worked through.
	reconciled atomic.Int64
	// stopController ends the controller and waits until it has ended.
	stopController func()
}

// newWorld makes a namespace and starts simulation and controller in it.
func newWorld(pace *pace) *world {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	w := &world{ctx: ctx, pace: pace}
	pace.quiet, pace.free = w.executorsGone, w.driverGone
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "replay-"}}
	Expect(admin.Create(ctx, ns)).To(Succeed())
	w.namespace = ns.Name
	mgr, err := kubeflow.NewManager(config, w.namespace)
	Expect(err).NotTo(HaveOccurred())
	w.spark, err = simulation.Add(mgr, simulation.Options{
		Pace: pace, Second: second, Kubelet: true, Node: "node1", StatefulSets: true, GarbageCollector: true})
	Expect(err).NotTo(HaveOccurred())
	start(ctx, mgr)
	w.startController()
	return w
}

func (w *world) startController() {
	mgr, err := kubeflow.NewManager(config, w.namespace)
	Expect(err).NotTo(HaveOccurred())
	Expect(controller.Add(mgr, controller.Options{Submitter: w.spark, Second: second, Reconciled: w.note})).To(Succeed())
	w.stopController = start(w.ctx, mgr)
}

func (w *world) note(app *sparkapi.SparkApplication) {
	n, err := strconv.ParseInt(app.ResourceVersion, 10, 64)
	if err == nil && n > w.reconciled.Load() {
		w.reconciled.Store(n)
	}
}

// driverGone is an error while there is a driver that a next run must wait for. The
// first submission of an application waits for none, nor does one that is repeated
// because its status update conflicted.
func (w *world) driverGone(ctx context.Context) error {
	app := &sparkapi.SparkApplication{}
	if err := admin.Get(ctx, w.key(appName), app); err != nil {
		return client.IgnoreNotFound(err)
	}
	switch app.Status.ApplicationState.State {
	case sparkapi.StatePendingRerun, sparkapi.StateResuming, sparkapi.StateSubmissionFailed:
	default:
		return nil
	}
	err := admin.Get(ctx, w.key(appName+"-driver"), &corev1.Pod{})
	if err == nil {
		return fmt.Errorf("submitted in state %s while a driver is there", app.Status.ApplicationState.State)
	}
	return client.IgnoreNotFound(err)
}

// executorsGone waits until a driver that ends by itself has no executors left and
// the controller has seen that. A driver that is being deleted ends in one write,
// so nothing is to wait for.
func (w *world) executorsGone(ctx context.Context) error {
	driver := &corev1.Pod{}
	if err := admin.Get(ctx, w.key(appName+"-driver"), driver); err != nil || driver.DeletionTimestamp != nil {
		return client.IgnoreNotFound(err)
	}
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		err := admin.List(ctx, pods, client.InNamespace(w.namespace), client.MatchingLabels{spark.LabelRole: spark.RoleExecutor})
		return len(pods.Items) == 0, err
	})
	if err != nil {
		return err
	}
	return w.quiet(ctx)
}

// quiet waits until the controller has worked through all events so far. It writes
// an annotation, which has no effect, and waits until that was worked through: what
// was queued before it has been by then.
func (w *world) quiet(ctx context.Context) error {
	app := &sparkapi.SparkApplication{}
	if err := admin.Get(ctx, w.key(appName), app); err != nil {
		return err
	}
	before := app.DeepCopy()
	app.Annotations = map[string]string{"example.com/nudge": before.ResourceVersion}
	if err := admin.Patch(ctx, app, client.MergeFrom(before)); err != nil {
		return err
	}
	revision, err := strconv.ParseInt(app.ResourceVersion, 10, 64)
	if err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, poll, true, func(context.Context) (bool, error) {
		return w.reconciled.Load() >= revision, nil
	})
}

// start runs a manager until the answered function is called or the test ends.
func start(ctx context.Context, mgr manager.Manager) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		var err error
		Eventually(done).Should(Receive(&err))
		Expect(err).NotTo(HaveOccurred())
	})
	DeferCleanup(stop)
	return stop
}

func (w *world) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: w.namespace, Name: name}
}

// app is the application as it is now.
func (w *world) app() *sparkapi.SparkApplication {
	app := &sparkapi.SparkApplication{}
	Expect(admin.Get(w.ctx, w.key(appName), app)).To(Succeed())
	return app
}

// create makes the application with the spec that was recorded for the nth one.
func (w *world) create(recorded *sparkapi.SparkApplication) {
	app := &sparkapi.SparkApplication{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: appName, Labels: recorded.Labels},
		Spec:       recorded.Spec,
	}
	Expect(admin.Create(w.ctx, app)).To(Succeed())
}

// change patches the application.
func (w *world) change(patch func(*sparkapi.SparkApplication)) {
	app := w.app()
	before := app.DeepCopy()
	patch(app)
	Expect(admin.Patch(w.ctx, app, client.MergeFrom(before))).To(Succeed())
}

func (w *world) delete() { Expect(admin.Delete(w.ctx, w.app())).To(Succeed()) }

func (w *world) driver() *corev1.Pod {
	pod := &corev1.Pod{}
	Expect(admin.Get(w.ctx, w.key(appName+"-driver"), pod)).To(Succeed())
	return pod
}

func (w *world) killDriver() { Expect(w.spark.Kill(w.driver(), 137)).To(Succeed()) }

// executor is the pod of an ordinal of the only StatefulSet.
func (w *world) executor(ordinal int) *corev1.Pod {
	pod := &corev1.Pod{}
	Expect(admin.Get(w.ctx, w.key(fmt.Sprintf("%s-%d", w.set().Name, ordinal)), pod)).To(Succeed())
	return pod
}

func (w *world) killExecutor(ordinal int) {
	Expect(w.spark.Kill(w.executor(ordinal), 137)).To(Succeed())
}

func (w *world) set() *appsv1.StatefulSet {
	set, err := w.findSet()
	Expect(err).NotTo(HaveOccurred())
	return set
}

func (w *world) findSet() (*appsv1.StatefulSet, error) {
	sets := &appsv1.StatefulSetList{}
	if err := admin.List(w.ctx, sets, client.InNamespace(w.namespace)); err != nil {
		return nil, err
	}
	if len(sets.Items) != 1 {
		return nil, fmt.Errorf("%d StatefulSets, want one", len(sets.Items))
	}
	return &sets.Items[0], nil
}

func (w *world) scale(replicas int32) {
	set := w.set()
	before := set.DeepCopy()
	set.Spec.Replicas = &replicas
	Expect(admin.Patch(w.ctx, set, client.MergeFrom(before))).To(Succeed())
}

// settled waits until the application runs, with its driver ready and as many
// registered executors.
func (w *world) settled(executors int32) {
	Eventually(func() error {
		pods := &corev1.PodList{}
		if err := admin.List(w.ctx, pods, client.InNamespace(w.namespace), client.MatchingLabels{spark.LabelRole: spark.RoleExecutor}); err != nil {
			return err
		}
		var registered int32
		for _, pod := range pods.Items {
			if pod.Labels[spark.LabelExecutorID] != spark.UnknownExecutor && pod.DeletionTimestamp == nil && ready(&pod) {
				registered++
			}
		}
		if registered != executors || len(pods.Items) != int(executors) {
			return fmt.Errorf("%d executors of %d registered, want %d", registered, len(pods.Items), executors)
		}
		driver := &corev1.Pod{}
		if err := admin.Get(w.ctx, w.key(appName+"-driver"), driver); err != nil {
			return err
		}
		if !ready(driver) {
			return errors.New("the driver is not ready")
		}
		if set, err := w.findSet(); err != nil || set.Status.ReadyReplicas != executors {
			return errors.New("the StatefulSet does not count them yet")
		}
		if state := w.app().Status.ApplicationState.State; state != sparkapi.StateRunning {
			return fmt.Errorf("the application is %s", state)
		}
		return nil
	}).Should(Succeed())
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	Expect(w.quiet(ctx)).To(Succeed())
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// until waits for the first moment of this text, counted from the beginning of the
// recording.
func (w *world) until(text string) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	err := w.recorder.Until(ctx, func() bool {
		for _, m := range w.recorder.Moments() {
			if !m.Initial && m.String() == text {
				return true
			}
		}
		return false
	})
	Expect(err).NotTo(HaveOccurred(), "waiting for %q after %s", text, list(w.recorder.Moments()))
}

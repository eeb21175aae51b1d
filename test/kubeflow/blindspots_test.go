// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/simulation"
)

// What kubeflow's controller does that no recording shows, as its code has it.
var _ = Describe("The controller", func() {
	var w *world
	BeforeEach(func() { w = newWorld(newPace(false)) })

	state := func() sparkapi.ApplicationState { return w.app().Status.ApplicationState.State }

	// create makes an application with one executor.
	create := func(change func(*sparkapi.SparkApplication)) {
		app := minimal()
		if change != nil {
			change(app)
		}
		w.create(app)
	}

	It("never acts on a spec change that it was not there to see", func() {
		create(nil)
		w.settled(1)
		driver := w.driver().UID
		w.stopController()
		w.change(func(app *sparkapi.SparkApplication) { app.Spec.Executor.Instances = ptr.To[int32](2) })
		w.startController()
		w.settled(1)
		Expect(w.driver().UID).To(Equal(driver))
		Expect(w.app().Status.ExecutionAttempts).To(Equal(int32(1)))
	})

	It("restarts for a change of a field that the operator's types leave out", func() {
		create(nil)
		w.settled(1)
		driver := w.driver().UID
		Expect(admin.Patch(w.ctx, w.app(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"batchScheduler":"other"}}`)))).To(Succeed())
		// The old pod may be gone for less than one poll: what counts is that another one is there.
		Eventually(func() (types.UID, error) {
			pod := &corev1.Pod{}
			err := admin.Get(w.ctx, w.key(appName+"-driver"), pod)
			return pod.UID, client.IgnoreNotFound(err)
		}).ShouldNot(Or(BeEmpty(), Equal(driver)))
		w.settled(1)
	})

	It("does not restart for a time to live, nor for metadata", func() {
		create(nil)
		w.settled(1)
		driver := w.driver().UID
		w.change(func(app *sparkapi.SparkApplication) {
			app.Spec.TimeToLiveSeconds = ptr.To[int64](1000)
			app.Labels = map[string]string{"team": "other"}
		})
		w.settled(1)
		Expect(w.driver().UID).To(Equal(driver))
	})

	It("goes on for ever when a driver ends beside a container that does not", func() {
		create(func(app *sparkapi.SparkApplication) {
			app.Spec.Driver.Template = &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "spark-kubernetes-driver"}, {Name: "sidecar", Image: "sidecar"}}}}
		})
		w.settled(1)
		w.killDriver()
		Eventually(func() *corev1.ContainerStateTerminated {
			return w.driver().Status.ContainerStatuses[0].State.Terminated
		}).
			Should(HaveField("ExitCode", int32(137)))
		ended := w.app().ResourceVersion
		Consistently(func() string { return w.app().ResourceVersion }, 500*time.Millisecond).Should(Equal(ended))
		Expect(state()).To(Equal(sparkapi.StateRunning))
		driver := w.driver().UID
		Expect(admin.Delete(w.ctx, w.driver())).To(Succeed())
		w.settled(1)
		Expect(w.driver().UID).NotTo(Equal(driver))
	})

	It("fails a run whose driver pod is taken away", func() {
		create(func(app *sparkapi.SparkApplication) {
			app.Spec.RestartPolicy = sparkapi.RestartPolicy{Type: sparkapi.RestartNever}
		})
		w.settled(1)
		Expect(admin.Delete(w.ctx, w.driver(), client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(state).Should(Equal(sparkapi.StateFailed))
		Expect(w.app().Status.ApplicationState.ErrorMessage).To(Equal("driver pod not found"))
	})

	It("runs a stream that ended again under Always, without a pause", func() {
		create(func(app *sparkapi.SparkApplication) {
			app.Spec.RestartPolicy = sparkapi.RestartPolicy{Type: sparkapi.RestartAlways, OnFailureRetryInterval: ptr.To[int64](3600)}
		})
		w.settled(1)
		Expect(w.spark.EndStream(w.driver(), 0)).To(Succeed())
		Eventually(func() int32 { return w.app().Status.ExecutionAttempts }).Should(Equal(int32(2)))
		w.settled(1)
	})

	It("waits for the interval times the tries since the last submission", func() {
		w.spark.SetScript(w.key(appName), simulation.Script{CrashEarly: ptr.To[int32](1)})
		create(func(app *sparkapi.SparkApplication) {
			app.Spec.RestartPolicy.OnFailureRetryInterval = ptr.To[int64](3600)
		})
		Eventually(state).Should(Equal(sparkapi.StateFailing))
		Consistently(state, 500*time.Millisecond).Should(Equal(sparkapi.StateFailing))
		Expect(w.driver().Status.Phase).To(Equal(corev1.PodFailed), "a dead driver is kept until the next try")
	})

	It("deletes what has ended when its time to live is over", func() {
		create(func(app *sparkapi.SparkApplication) {
			app.Spec.RestartPolicy = sparkapi.RestartPolicy{Type: sparkapi.RestartNever}
			app.Spec.TimeToLiveSeconds = ptr.To[int64](1)
		})
		w.settled(1)
		w.killDriver()
		Eventually(func() error { return admin.Get(w.ctx, w.key(appName), &sparkapi.SparkApplication{}) }).Should(Satisfy(apierrors.IsNotFound))
		Eventually(func() error { return admin.Get(w.ctx, w.key(appName+"-driver"), &corev1.Pod{}) }).Should(Satisfy(apierrors.IsNotFound))
	})

	It("ignores suspend after the end", func() {
		create(func(app *sparkapi.SparkApplication) {
			app.Spec.RestartPolicy = sparkapi.RestartPolicy{Type: sparkapi.RestartNever}
		})
		w.settled(1)
		w.killDriver()
		Eventually(state).Should(Equal(sparkapi.StateFailed))
		w.change(func(app *sparkapi.SparkApplication) { app.Spec.Suspend = ptr.To(true) })
		Consistently(state, 500*time.Millisecond).Should(Equal(sparkapi.StateFailed))
	})

	It("makes a Service for the UI, which goes with the run", func() {
		create(nil)
		w.settled(1)
		service := &corev1.Service{}
		Expect(admin.Get(w.ctx, w.key(appName+"-ui-svc"), service)).To(Succeed())
		Expect(service.Spec.Selector).To(Equal(map[string]string{"sparkoperator.k8s.io/app-name": appName, "spark-role": "driver"}))
		Expect(w.app().Status.DriverInfo).To(HaveField("WebUIAddress", service.Spec.ClusterIP+":4040"))
		w.change(func(app *sparkapi.SparkApplication) { app.Spec.Suspend = ptr.To(true) })
		Eventually(func() error { return admin.Get(w.ctx, w.key(appName+"-ui-svc"), service) }).Should(Satisfy(apierrors.IsNotFound))
		Eventually(state).Should(Equal(sparkapi.StateSuspended))
	})
})

// minimal is an application with one executor, retried five times.
func minimal() *sparkapi.SparkApplication {
	app := &sparkapi.SparkApplication{}
	app.Spec = sparkapi.SparkApplicationSpec{
		Type: "Scala", Mode: "cluster", SparkVersion: "4.1.4", Image: ptr.To("registry.example.com/spark:4.1.4"),
		MainClass: ptr.To("com.example.App"), MainApplicationFile: ptr.To("local:///opt/spark/app/app.jar"),
		SparkConf: map[string]string{"spark.kubernetes.allocation.pods.allocator": "statefulset"},
		RestartPolicy: sparkapi.RestartPolicy{Type: sparkapi.RestartOnFailure, OnFailureRetries: ptr.To[int32](5),
			OnFailureRetryInterval: ptr.To[int64](1), OnSubmissionFailureRetries: ptr.To[int32](3), OnSubmissionFailureRetryInterval: ptr.To[int64](1)},
	}
	app.Spec.Executor.Instances = ptr.To[int32](1)
	return app
}

// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// pipeline reads a SparkPipeline of namespace data.
func pipeline(name string) *v1alpha1.SparkPipeline {
	p := &v1alpha1.SparkPipeline{}
	Expect(stage.Client.Get(context.Background(), client.ObjectKey{Namespace: "data", Name: name}, p)).To(Succeed())
	return p
}

// ready is status/reason of the condition Ready.
func ready(name string) func() string {
	return func() string {
		c := meta.FindStatusCondition(pipeline(name).Status.Conditions, v1alpha1.ConditionReady)
		if c == nil {
			return "absent"
		}
		return string(c.Status) + "/" + c.Reason
	}
}

func driver(namespace, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, stage.Client.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name + "-driver"}, pod)
}

func kubectl(ctx context.Context, args ...string) string {
	out, err := stage.Kubectl(ctx, args...)
	Expect(err).NotTo(HaveOccurred())
	return out
}

var _ = Describe("pipelines from the samples", Ordered, func() {
	It("become Ready, both the minimal and the full one", func(ctx SpecContext) {
		kubectl(ctx, "apply", "-f", "config/samples/minimal.yaml")
		kubectl(ctx, "apply", "-f", "config/samples/full.yaml")
		Eventually(ready("orders")).Should(Equal("True/Ready"))
		Eventually(ready("orders-full")).Should(Equal("True/Ready"))
		By("kubectl wait, as people write it")
		kubectl(ctx, "-n", "data", "wait", "sp", "--all", "--for=condition=Ready", "--timeout=5s")
		By("kubectl get sp, as people read it")
		row := strings.Fields(strings.Split(kubectl(ctx, "-n", "data", "get", "sp", "orders", "-o", "wide"), "\n")[1])
		Expect(row[:3]).To(Equal([]string{"orders", "True", "Ready"}))
		Expect(row).To(ContainElement("4.1.4"))
	})

	It("have the autoscaler on the StatefulSet of the live run", func(ctx SpecContext) {
		Eventually(func(g Gomega) {
			pod, err := driver("data", "orders")
			g.Expect(err).NotTo(HaveOccurred())
			out, err := stage.Kubectl(ctx, "-n", "data", "get", "hpa", "orders", "-o", "jsonpath={.spec.scaleTargetRef.name}")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(out).To(Equal("spark-s-" + pod.Labels["spark-app-selector"] + "-0"))
		}).Should(Succeed())
	})

	It("are scaled from outside without a restart of the driver", func(ctx SpecContext) {
		pod, err := driver("data", "orders")
		Expect(err).NotTo(HaveOccurred())
		set := "spark-s-" + pod.Labels["spark-app-selector"] + "-0"
		kubectl(ctx, "-n", "data", "scale", "statefulset", set, "--replicas=7")
		Eventually(func() string { return pipeline("orders").Status.Executors.Summary }).Should(Equal("7/7"))
		again, err := driver("data", "orders")
		Expect(err).NotTo(HaveOccurred())
		Expect(again.UID).To(Equal(pod.UID))
	})

	It("come back when their driver is killed, at the size that they had", func(ctx SpecContext) {
		before, err := driver("data", "orders")
		Expect(err).NotTo(HaveOccurred())
		app := pipeline("orders").Status.Application.UID
		Expect(stage.Client.Delete(ctx, before)).To(Succeed())
		Eventually(func() types.UID {
			pod, err := driver("data", "orders")
			if err != nil || pod.Status.Phase != corev1.PodRunning {
				return before.UID
			}
			return pod.UID
		}).ShouldNot(Equal(before.UID))
		Eventually(ready("orders")).Should(Equal("True/Ready"))
		Expect(pipeline("orders").Status.Application.UID).To(Equal(app), "the backend's own retry, no new application")
		Eventually(func() string { return pipeline("orders").Status.Executors.Summary }).Should(Equal("7/7"))
	})

	It("are replaced in order for a new image", func(ctx SpecContext) {
		before := pipeline("orders").Status.Application.UID
		kubectl(ctx, "-n", "data", "patch", "sp", "orders", "--type=merge", "-p", `{"spec":{"image":"registry.example.com/orders:1.5.0"}}`)
		Eventually(func(g Gomega) {
			app := &sparkapi.SparkApplication{}
			g.Expect(stage.Client.Get(ctx, client.ObjectKey{Namespace: "data", Name: "orders"}, app)).To(Succeed())
			g.Expect(app.UID).NotTo(Equal(before))
			g.Expect(*app.Spec.Image).To(Equal("registry.example.com/orders:1.5.0"))
		}).Should(Succeed())
		Eventually(ready("orders")).Should(Equal("True/Ready"))
	})

	It("refuse others' edits of the SparkApplication and deletion of their claims", func(ctx SpecContext) {
		_, err := stage.Kubectl(ctx, "-n", "data", "patch", "sparkapplication", "orders", "--type=merge", "-p", `{"spec":{"image":"other"}}`)
		Expect(err).To(MatchError(ContainSubstring("edit SparkPipeline orders in namespace data instead")))
		_, err = stage.Kubectl(ctx, "-n", "data", "delete", "pvc", "orders-checkpoint", "--wait=false")
		Expect(err).To(MatchError(ContainSubstring("sparkpipeline.dev/allow-deletion")))
	})

	It("send nothing when the operator starts again, and heal what was broken meanwhile", func(ctx SpecContext) {
		Expect(stage.StopManager(ctx)).To(Succeed())
		kubectl(ctx, "-n", "data", "label", "service", "orders-web", "sparkpipeline.dev/pipeline-")
		versions := func() string {
			return kubectl(ctx, "-n", "data", "get", "cm,sa,netpol,pdb,cronjob,servicemonitor,prometheusrule", "-o",
				`jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{"\n"}{end}`)
		}
		before := versions()
		Expect(stage.StartManager(ctx)).To(Succeed())
		Eventually(func() string {
			return kubectl(ctx, "-n", "data", "get", "service", "orders-web", "-o", `jsonpath={.metadata.labels.sparkpipeline\.dev/pipeline}`)
		}).Should(Equal("orders"))
		Expect(versions()).To(Equal(before))
	})

	It("stop and start with suspend", func(ctx SpecContext) {
		kubectl(ctx, "-n", "data", "patch", "sp", "orders", "--type=merge", "-p", `{"spec":{"suspend":true}}`)
		Eventually(ready("orders")).Should(Equal("True/Suspended"))
		_, err := driver("data", "orders")
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), fmt.Sprint(err))
		kubectl(ctx, "-n", "data", "patch", "sp", "orders", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
		Eventually(ready("orders")).Should(Equal("True/Ready"))
	})

	It("go in order, and leave the claims and the namespace that holds them", func(ctx SpecContext) {
		kubectl(ctx, "-n", "data", "delete", "sp", "--all", "--timeout=120s")
		Expect(kubectl(ctx, "-n", "data", "get", "sparkapplications,pods,cronjobs,pdb,hpa", "-o", "name")).To(BeEmpty())
		Expect(kubectl(ctx, "-n", "data", "get", "pvc", "-o", "name")).To(ContainSubstring("orders-checkpoint"))
		Expect(kubectl(ctx, "-n", "orders-prod", "get", "pvc", "-o", "name")).To(ContainSubstring("orders-full-checkpoint"))
		Eventually(func() string { return kubectl(ctx, "-n", "data", "get", "secret", "-o", "name") }).
			WithTimeout(time.Minute).ShouldNot(ContainSubstring("orders-spark"))
	})
})

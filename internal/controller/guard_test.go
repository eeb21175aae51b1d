// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// guardSays gives the driver's pod the end of its guard, as the kubelet would.
func guardSays(pod *corev1.Pod, code int32, message string) {
	GinkgoHelper()
	Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(pod), pod)).To(Succeed())
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "guard", Image: "i", ImageID: "i",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}}}}
	Expect(admin.Status().Update(context.Background(), pod)).To(Succeed())
}

func orders(p *v1alpha1.SparkPipeline) func() string {
	return func() string {
		found := &corev1.ConfigMap{}
		if err := admin.Get(context.Background(), client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name + "-guard"}, found); err != nil {
			return err.Error()
		}
		return found.Data["orders.json"]
	}
}

var _ = Describe("the guard", func() {
	const passed = `{"command":"guard","code":0,"result":{"roots":[{"path":"agg","lastCommit":41}]}}`
	const refused = `{"command":"guard","code":45,"error":"Empty: root agg is empty","result":{"reason":"Empty"}}`

	It("is told for every later start how far the roots were", func() {
		p := ready()
		Expect(orders(p)()).NotTo(ContainSubstring("roots"))
		guardSays(driverPod(p), 0, passed)
		Eventually(orders(p)).Should(ContainSubstring(`"agg": 41`))
	})

	It("is heard when it refuses, and an accepted loss lets one start through", func() {
		p := ready()
		pod := driverPod(p)
		guardSays(pod, 0, passed)
		Eventually(orders(p)).Should(ContainSubstring(`"agg": 41`))
		guardSays(pod, 45, refused)
		setState(p, sparkapi.StateFailed)
		Eventually(condition(p, "Ready")).Should(Equal("False/GuardRefused"))
		Eventually(condition(p, "Stalled")).Should(Equal("True/GuardRefused"))
		Expect(orders(p)()).NotTo(ContainSubstring("reset"))

		before := uidOf(p)()
		Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(p), p)).To(Succeed())
		wanted := p.Status.Application.RenderingWanted
		Expect(p.Status.WaitingFor.Message).To(ContainSubstring(wanted))
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Restart.AcceptStateReset = wanted })
		Eventually(orders(p)).Should(ContainSubstring(`"reset": true`))
		Expect(admin.Delete(context.Background(), pod, client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(uidOf(p)).Should(And(Not(BeEmpty()), Not(Equal(before))))

		By("letting only one start through")
		setState(p, sparkapi.StateRunning)
		guardSays(driverPod(p), 0, `{"command":"guard","code":0,"result":{"roots":[{"path":"agg","lastCommit":2}]}}`)
		Eventually(orders(p)).Should(And(ContainSubstring(`"agg": 2`), Not(ContainSubstring("reset"))))
	})
})

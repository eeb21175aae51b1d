// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

var _ = Describe("a schedule of scaling", func() {
	It("gives the autoscaler its bounds while it is in force", func() {
		p := ready()
		driverPod(p)
		bounds := func() []int32 {
			h := &autoscalingv2.HorizontalPodAutoscaler{}
			if err := admin.Get(context.Background(), client.ObjectKeyFromObject(p), h); err != nil {
				return nil
			}
			return []int32{*h.Spec.MinReplicas, h.Spec.MaxReplicas}
		}
		Eventually(bounds).Should(Equal([]int32{3, 20}))
		edit(p, func(s *v1alpha1.SparkPipelineSpec) {
			s.Scaling.Schedules = []v1alpha1.ScalingSchedule{ // from January to December
				{Start: "0 0 1 1 *", End: "59 23 31 12 *", TimeZone: "UTC", MinExecutors: 5, MaxExecutors: 9}}
		})
		Eventually(bounds).Should(Equal([]int32{5, 9}))
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Scaling.Schedules = nil })
		Eventually(bounds).Should(Equal([]int32{3, 20}))
	})
})

// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// checkOf is the Job that checks the buckets of p.
func checkOf(p *v1alpha1.SparkPipeline) *batchv1.Job {
	GinkgoHelper()
	jobs := &batchv1.JobList{}
	Expect(admin.List(context.Background(), jobs, client.InNamespace(p.WorkloadNamespace()),
		client.MatchingLabels{"sparkpipeline.dev/pipeline": p.Name})).To(Succeed())
	Expect(jobs.Items).To(HaveLen(1))
	return &jobs.Items[0]
}

// podOf is a pod of a Job, as the Job's controller makes it.
func podOf(job *batchv1.Job) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: *job.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.GenerateName = job.Namespace, job.Name+"-"
	Expect(admin.Create(context.Background(), pod)).To(Succeed())
	return pod
}

var _ = Describe("the check of the buckets", func() {
	It("is told in a condition that Ready does not wait for, and ends when nothing is missing", func() {
		p := ready()
		Eventually(condition(p, "BucketsAccessible")).Should(Equal("Unknown/CheckPending"))
		job := checkOf(p)
		pod := podOf(job)
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "check", Image: "i", ImageID: "i",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 12,
				Message: `{"command":"check","code":12,"error":"check: s3:PutObject is denied"}`}}}}}
		Expect(admin.Status().Update(context.Background(), pod)).To(Succeed())
		Eventually(condition(p, "BucketsAccessible")).Should(Equal("False/CheckFailed"))
		Expect(condition(p, "Ready")()).To(HavePrefix("True/"))

		now := metav1.Now()
		job.Status.StartTime, job.Status.Succeeded = &now, 1
		Expect(admin.Status().Update(context.Background(), job)).To(Succeed())
		Eventually(condition(p, "BucketsAccessible")).Should(Equal("True/CheckPassed"))
	})

	It("is made anew for other buckets, and the old one goes", func() {
		p := ready()
		before := checkOf(p).Name
		Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(p), p)).To(Succeed())
		p.Spec.ObjectStore.Buckets.Backups = "acme-other-backups"
		Expect(admin.Update(context.Background(), p)).To(Succeed())
		Eventually(func(g Gomega) {
			jobs := &batchv1.JobList{}
			g.Expect(admin.List(context.Background(), jobs, client.InNamespace(p.WorkloadNamespace()),
				client.MatchingLabels{"sparkpipeline.dev/pipeline": p.Name})).To(Succeed())
			g.Expect(jobs.Items).To(HaveLen(1))
			g.Expect(jobs.Items[0].Name).NotTo(Equal(before))
		}).Should(Succeed())
	})
})

var _ = Describe("the last backup", func() {
	It("is when the CronJob last succeeded", func() {
		p := ready()
		job := &batchv1.CronJob{}
		Expect(admin.Get(context.Background(), client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name + "-backup"}, job)).To(Succeed())
		at := metav1.NewTime(time.Now().Add(-time.Minute)).Rfc3339Copy()
		job.Status.LastSuccessfulTime = &at
		Expect(admin.Status().Update(context.Background(), job)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(p), p)).To(Succeed())
			g.Expect(p.Status.LastBackupTime).NotTo(BeNil())
			g.Expect(p.Status.LastBackupTime.Equal(&at)).To(BeTrue())
		}).Should(Succeed())
	})
})

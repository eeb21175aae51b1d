// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// application reads the SparkApplication of a pipeline; nil when there is none.
func applicationOf(p *v1alpha1.SparkPipeline) *sparkapi.SparkApplication {
	app := &sparkapi.SparkApplication{}
	err := admin.Get(context.Background(), client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name}, app)
	if apierrors.IsNotFound(err) {
		return nil
	}
	Expect(err).NotTo(HaveOccurred())
	return app
}

func suspendAsked(p *v1alpha1.SparkPipeline) func() bool {
	return func() bool {
		app := applicationOf(p)
		return app != nil && app.Spec.Suspend != nil && *app.Spec.Suspend
	}
}

func uidOf(p *v1alpha1.SparkPipeline) func() types.UID {
	return func() types.UID {
		if app := applicationOf(p); app != nil {
			return app.UID
		}
		return ""
	}
}

// driverPod makes the pod of a driver, as Spark would.
func driverPod(p *v1alpha1.SparkPipeline) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.WorkloadNamespace(), Name: p.Name + "-driver",
			Labels: map[string]string{ownerLabel: p.Name, "sparkpipeline.dev/pipeline-namespace": p.Namespace,
				"spark-role": "driver", "spark-app-selector": "spark-0123"}},
		Spec: corev1.PodSpec{
			// What the profile restricted of a dedicated namespace asks for.
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "spark-kubernetes-driver", Image: "i", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
		},
	}
	Expect(admin.Create(context.Background(), pod)).To(Succeed())
	pod.Status.Phase = corev1.PodRunning
	Expect(admin.Status().Update(context.Background(), pod)).To(Succeed())
	return pod
}

func edit(p *v1alpha1.SparkPipeline, change func(*v1alpha1.SparkPipelineSpec)) {
	Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(p), p)).To(Succeed())
	patch := client.MergeFrom(p.DeepCopy())
	change(&p.Spec)
	Expect(admin.Patch(context.Background(), p, patch)).To(Succeed())
}

// deleteAndStop deletes the pipeline and plays the backend's part.
func deleteAndStop(p *v1alpha1.SparkPipeline) {
	GinkgoHelper()
	ctx := context.Background()
	Expect(admin.Delete(ctx, p)).To(Succeed())
	Eventually(suspendAsked(p)).Should(BeTrue())
	setState(p, sparkapi.StateSuspended)
	Eventually(func() bool {
		return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(p), &v1alpha1.SparkPipeline{}))
	}).Should(BeTrue())
}

// releaseClaims takes the finalizer of the claims away; whoever does that does not
// run here.
func releaseClaims(p *v1alpha1.SparkPipeline) {
	GinkgoHelper()
	for _, c := range p.Status.Children {
		if c.Kind == "PersistentVolumeClaim" {
			Expect(admin.Patch(context.Background(), child(c), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
		}
	}
}

var _ = Describe("the application", func() {
	ctx := context.Background()

	It("is replaced for a new spec: suspended, fenced, deleted, created", func() {
		p := ready()
		pod := driverPod(p)
		before := uidOf(p)()
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Image = "registry.example.com/orders:2" })
		Eventually(suspendAsked(p)).Should(BeTrue())
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Stopping"))
		setState(p, sparkapi.StateSuspended)
		By("waiting for the driver's pod, which outlives SUSPENDED")
		Consistently(uidOf(p)).WithTimeout(time.Second).Should(Equal(before))
		Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(uidOf(p)).Should(And(Not(BeEmpty()), Not(Equal(before))))
		Expect(*applicationOf(p).Spec.Image).To(Equal("registry.example.com/orders:2"))
		setState(p, sparkapi.StateRunning)
		Eventually(condition(p, "Ready")).Should(Equal("True/Ready"))
	})

	It("is not started beside a pod of an earlier run", func() {
		namespace := namespaceFor()
		p := minimal(namespace)
		pod := driverPod(p)
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Fenced"))
		Consistently(uidOf(p)).WithTimeout(time.Second).Should(BeEmpty())
		Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(uidOf(p)).ShouldNot(BeEmpty())
	})

	It("is replaced when somebody edited it", func() {
		p := ready()
		before := uidOf(p)()
		app := applicationOf(p)
		patch := []byte(`{"spec":{"image":"somebody:else"}}`)
		Expect(admin.Patch(ctx, app, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
		Eventually(suspendAsked(p)).Should(BeTrue())
		setState(p, sparkapi.StateSuspended)
		Eventually(uidOf(p)).Should(And(Not(BeEmpty()), Not(Equal(before))))
		Expect(*applicationOf(p).Spec.Image).To(Equal("registry.example.com/orders:1.4.2"))
	})

	It("comes back when somebody deleted it", func() {
		p := ready()
		before := uidOf(p)()
		Expect(admin.Delete(ctx, applicationOf(p))).To(Succeed())
		Eventually(uidOf(p)).Should(And(Not(BeEmpty()), Not(Equal(before))))
	})

	It("is stopped by suspend, which is Ready, and started again after it", func() {
		p := ready()
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Suspend = true })
		Eventually(suspendAsked(p)).Should(BeTrue())
		setState(p, sparkapi.StateSuspended)
		Eventually(uidOf(p)).Should(BeEmpty())
		Eventually(condition(p, "Ready")).Should(Equal("True/Suspended"))
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Suspend = false })
		Eventually(uidOf(p)).ShouldNot(BeEmpty())
	})

	It("goes on through a change that would lose state, until exactly that is accepted", func() {
		p := ready()
		before := uidOf(p)()
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Checkpoint.MountPath = "/mnt/elsewhere" })
		Eventually(condition(p, "Ready")).Should(Equal("False/StateBreaking"))
		Expect(p.Status.Application.PendingChange).To(Equal(v1alpha1.ChangeStateBreaking))
		Consistently(suspendAsked(p)).WithTimeout(time.Second).Should(BeFalse())
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Restart.AcceptStateReset = p.Status.Application.RenderingWanted })
		Eventually(suspendAsked(p)).Should(BeTrue())
		setState(p, sparkapi.StateSuspended)
		Eventually(uidOf(p)).Should(And(Not(BeEmpty()), Not(Equal(before))))
	})

	It("says that the backend gave up, and starts again for another nonce", func() {
		p := ready()
		before := uidOf(p)()
		setState(p, sparkapi.StateFailed)
		Eventually(condition(p, "Ready")).Should(Equal("False/ApplicationFailed"))
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Restart.Nonce = "again" })
		Eventually(uidOf(p)).Should(And(Not(BeEmpty()), Not(Equal(before))))
	})

	It("is not started without the claim that held its state", func() {
		p := ready()
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "orders-checkpoint"}}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
		claim.Finalizers = nil
		Expect(admin.Update(ctx, claim)).To(Succeed())
		Expect(admin.Delete(ctx, claim)).To(Succeed())
		Eventually(condition(p, "Ready")).Should(Equal("False/ClaimLost"))
		Expect(admin.Delete(ctx, applicationOf(p))).To(Succeed())
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/StartRefused"))
		Consistently(uidOf(p)).WithTimeout(time.Second).Should(BeEmpty())
		Expect(apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(claim), claim))).To(BeTrue())
	})
})

var _ = Describe("deletion", func() {
	ctx := context.Background()

	exists := func(c v1alpha1.ChildStatus) bool {
		o := child(c)
		err := admin.Get(ctx, client.ObjectKeyFromObject(o), o)
		Expect(client.IgnoreNotFound(err)).To(Succeed())
		return err == nil && o.DeletionTimestamp == nil
	}

	It("stops the application first, removes the children and keeps the claims", func() {
		p := ready()
		children := p.Status.Children
		deleteAndStop(p)
		Expect(applicationOf(p)).To(BeNil())
		for _, c := range children {
			if c.Kind == "Secret" {
				continue // Goes with the garbage collector, which does not run here.
			}
			Expect(exists(c)).To(Equal(c.Kind == "PersistentVolumeClaim"), "%s %s", c.Kind, c.Name)
		}
	})

	It("removes the claims too where the policy says so", func() {
		p := ready()
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.DeletionPolicy = v1alpha1.DeletionDelete })
		children := p.Status.Children
		releaseClaims(p)
		deleteAndStop(p)
		for _, c := range children {
			if c.Kind == "PersistentVolumeClaim" {
				Expect(exists(c)).To(BeFalse(), c.Name)
			}
		}
	})
})

var _ = Describe("bad days", func() {
	ctx := context.Background()

	It("leaves a foreign object of a child's name alone, says so, and goes on when it is gone", func() {
		namespace := namespaceFor()
		p := minimal(namespace)
		foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders-web", Labels: map[string]string{"own": "er"}},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 99}}}}
		Expect(admin.Create(ctx, foreign)).To(Succeed())
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "Ready")).Should(Equal("False/NotOwned"))
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
		Expect(foreign.Labels).To(Equal(map[string]string{"own": "er"}))
		Expect(admin.Delete(ctx, foreign)).To(Succeed())
		Eventually(condition(p, "Applied")).Should(Equal("True/Applied"))
	})

	It("refuses a dedicated namespace that nobody allowed, and goes on when somebody does", func() {
		own := namespaceFor()
		p := minimal(own)
		p.Spec.Namespace = own + "-prod"
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "Ready")).Should(Equal("False/NamespaceNotAllowed"))
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own}}
		patch := []byte(`{"metadata":{"annotations":{"sparkpipeline.dev/allowed-namespaces":"` + own + `-prod"}}}`)
		Expect(admin.Patch(ctx, ns, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
		Eventually(condition(p, "Applied")).Should(Equal("True/Applied"))
		Expect(admin.Get(ctx, client.ObjectKey{Name: own + "-prod"}, ns)).To(Succeed())
		Expect(ns.Labels).To(HaveKeyWithValue("pod-security.kubernetes.io/enforce", "restricted"))
	})

	It("says that a quota is full, and goes on when there is room", func() {
		namespace := namespaceFor()
		p := minimal(namespace)
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tight"},
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/services": *zero}}}
		Expect(admin.Create(ctx, quota)).To(Succeed())
		// Without a controller that counts, the status says what is used.
		quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{"count/services": *zero}}
		Expect(admin.Status().Update(ctx, quota)).To(Succeed())
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "Applied")).Should(Equal("False/QuotaExceeded"))
		Expect(admin.Delete(ctx, quota)).To(Succeed())
		Eventually(condition(p, "Applied")).Should(Equal("True/Applied"))
	})
})

// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

var _ = Describe("a dedicated namespace", func() {
	ctx := context.Background()

	// dedicated makes a pipeline whose namespace is allowed, with policy Delete.
	dedicated := func() *v1alpha1.SparkPipeline {
		own := namespaceFor()
		patch := []byte(`{"metadata":{"annotations":{"sparkpipeline.dev/allowed-namespaces":"` + own + `-prod"}}}`)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own}}
		Expect(admin.Patch(ctx, ns, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
		p := minimal(own)
		p.Spec.Namespace, p.Spec.DeletionPolicy = own+"-prod", v1alpha1.DeletionDelete
		return p
	}
	put := func(p *v1alpha1.SparkPipeline, labels map[string]string) {
		Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Spec.Namespace, Labels: labels}})).To(Succeed())
	}
	naming := func(p *v1alpha1.SparkPipeline) map[string]string {
		return map[string]string{ownerLabel: p.Name, "sparkpipeline.dev/pipeline-namespace": p.Namespace}
	}
	started := func(p *v1alpha1.SparkPipeline) {
		Expect(admin.Create(ctx, p)).To(Succeed())
		setState(p, sparkapi.StateRunning)
		Eventually(condition(p, "Applied")).Should(Equal("True/Applied"))
	}
	// deleted plays the backend and the controller that protects claims.
	deleted := func(p *v1alpha1.SparkPipeline) {
		for _, c := range p.Status.Children {
			if c.Kind == "PersistentVolumeClaim" {
				Expect(admin.Patch(ctx, child(c), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
			}
		}
		Expect(admin.Delete(ctx, p)).To(Succeed())
		Eventually(suspendAsked(p)).Should(BeTrue())
		setState(p, sparkapi.StateSuspended)
	}
	gone := func(p *v1alpha1.SparkPipeline) func() bool {
		return func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(p), &v1alpha1.SparkPipeline{}))
		}
	}
	leaving := func(p *v1alpha1.SparkPipeline) func() bool {
		return func() bool {
			ns := &corev1.Namespace{}
			Expect(admin.Get(ctx, client.ObjectKey{Name: p.Spec.Namespace}, ns)).To(Succeed())
			return ns.DeletionTimestamp != nil
		}
	}

	It("is deleted where the operator made it and the policy says so", func() {
		p := dedicated()
		started(p)
		deleted(p)
		Eventually(leaving(p)).Should(BeTrue())
	})

	It("stays where it was there first, whatever the policy says", func() {
		p := dedicated()
		put(p, naming(p))
		started(p)
		deleted(p)
		Eventually(gone(p)).Should(BeTrue())
		Expect(leaving(p)()).To(BeFalse())
	})

	It("stays where it holds a claim that is not ours", func() {
		p := dedicated()
		started(p)
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.Spec.Namespace, Name: "theirs"},
			Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}}
		Expect(admin.Create(ctx, claim)).To(Succeed())
		deleted(p)
		Eventually(gone(p)).Should(BeTrue())
		Expect(leaving(p)()).To(BeFalse())
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(claim), claim)).To(Succeed())
		Expect(claim.DeletionTimestamp).To(BeNil())
	})

	It("is not adopted without a label that names the pipeline", func() {
		p := dedicated()
		put(p, nil)
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "Ready")).Should(Equal("False/NotOwned"))
		ns := &corev1.Namespace{}
		Expect(admin.Get(ctx, client.ObjectKey{Name: p.Spec.Namespace}, ns)).To(Succeed())
		Expect(ns.Labels).NotTo(HaveKey("pod-security.kubernetes.io/enforce"))
	})
})

// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/manifest"
)

// offline is what the package manifest makes of an object.
func offline(object *unstructured.Unstructured) (*v1alpha1.SparkPipeline, error) {
	GinkgoHelper()
	data, err := object.MarshalJSON()
	Expect(err).NotTo(HaveOccurred())
	return manifest.Parse(data)
}

var _ = Describe("Reading a manifest offline", func() {
	for _, file := range []string{"minimal.yaml", "everything.yaml"} {
		It("completes "+file+" as the API server does", func() {
			object := pipeline(file)
			read, err := offline(object)
			Expect(err).NotTo(HaveOccurred())
			Expect(server.Create(context.Background(), object, client.DryRunAll)).To(Succeed())
			var kept v1alpha1.SparkPipeline
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &kept)).To(Succeed())
			Expect(equality.Semantic.DeepEqual(kept.Spec, read.Spec)).To(BeTrue(), "%+v\nis not\n%+v", kept.Spec, read.Spec)
		})
	}

	It("accepts and refuses what the API server does", func() {
		for _, f := range fields {
			for _, value := range f.accept {
				object := pipeline("everything.yaml", f.with)
				set(object.Object, f.path, value)
				_, err := offline(object)
				Expect(err).NotTo(HaveOccurred(), "%s: %v", f.path, value)
			}
			for _, value := range f.refuse {
				object := pipeline("everything.yaml", f.with)
				set(object.Object, f.path, value)
				_, err := offline(object)
				Expect(err).To(MatchError(And(ContainSubstring(f.path), ContainSubstring(f.allowed))), "%s: %v", f.path, value)
			}
		}
		for _, r := range rules {
			_, err := offline(pipeline("minimal.yaml", r.accept))
			Expect(err).NotTo(HaveOccurred(), r.name)
			_, err = offline(pipeline("minimal.yaml", r.refuse))
			Expect(err).To(HaveOccurred(), r.name)
		}
	})

	It("refuses the changes that the API server refuses", func() {
		for _, r := range changes {
			from, err := pipeline("minimal.yaml", r.from).MarshalJSON()
			Expect(err).NotTo(HaveOccurred())
			accepted, err := pipeline("minimal.yaml", r.from, r.accept).MarshalJSON()
			Expect(err).NotTo(HaveOccurred())
			refused, err := pipeline("minimal.yaml", r.from, r.refuse).MarshalJSON()
			Expect(err).NotTo(HaveOccurred())
			Expect(manifest.ValidateUpdate(from, accepted)).To(Succeed(), r.name)
			Expect(manifest.ValidateUpdate(from, refused)).To(MatchError(containsAll(r.want)), r.name)
		}
	})
})

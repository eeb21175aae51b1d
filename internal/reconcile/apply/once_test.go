// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"errors"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

var _ = Describe("a child that is posted once", func() {
	var b *bench
	var filled int
	BeforeEach(func(ctx SpecContext) { b, filled = newBench(ctx), 0 })

	secret := func() apply.Item {
		item := b.item(secrets, "s")
		item.Once = true
		item.Fill = func(o *unstructured.Unstructured) error {
			filled++
			return unstructured.SetNestedField(o.Object, string(rune('a'+filled-1)), "stringData", "password")
		}
		return item
	}
	password := func(ctx SpecContext) string {
		s := &corev1.Secret{}
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: b.namespace, Name: "s"}, s)).To(Succeed())
		return string(s.Data["password"])
	}

	It("is neither read nor posted again, also when it is gone or something else is wanted", func(ctx SpecContext) {
		Expect(b.apply(ctx, secret())).To(Equal([]apply.Outcome{apply.Created}))
		Expect(b.wire.take()).To(Equal([]string{"POST secrets"}))
		Expect(password(ctx)).To(Equal("a"))
		b.remove(ctx, secrets, "s")
		other := secret()
		other.Object.SetAnnotations(map[string]string{"new": "payload"})
		Expect(b.apply(ctx, other)).To(Equal([]apply.Outcome{apply.Unchanged}))
		b.engine = apply.NewEngine(b.writer, b.cache, b.writer)
		Expect(b.apply(ctx, secret())).To(Equal([]apply.Outcome{apply.Unchanged}))
		Expect(b.wire.take()).To(BeEmpty())
		Expect(filled).To(Equal(1))
	})

	It("is remembered alike whether the answer to its post was lost or not", func(ctx SpecContext) {
		remembered := func() v1alpha1.ChildStatus {
			results, err := b.engine.Apply(ctx, b.owner, []apply.Item{secret()}, nil)
			Expect(err).NotTo(HaveOccurred())
			return results[0].Memory
		}
		answered := remembered()
		Expect(answered.Applied).NotTo(BeEmpty())
		// The name is taken now, as after a lost answer.
		Expect(remembered()).To(Equal(answered))
	})

	It("keeps its first value when the answer is lost", func(ctx SpecContext) {
		b.wire.inject("POST secrets", 1, lost)
		outcomes, err := b.apply(ctx, secret())
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		Expect(err).To(MatchError(ContainSubstring("Secret " + b.namespace + "/s")))
		Expect(b.apply(ctx, secret())).To(Equal([]apply.Outcome{apply.Created}))
		Expect(b.wire.take()).To(Equal([]string{"POST secrets", "POST secrets"}))
		Expect(password(ctx)).To(Equal("a"))
		Expect(b.apply(ctx, secret())).To(Equal([]apply.Outcome{apply.Unchanged}))
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("is posted again when the first post never arrived", func(ctx SpecContext) {
		b.wire.inject("POST secrets", 1, unsent)
		_, err := b.apply(ctx, secret())
		Expect(err).To(HaveOccurred())
		Expect(b.apply(ctx, secret())).To(Equal([]apply.Outcome{apply.Created}))
		Expect(password(ctx)).To(Equal("b"))
	})

	It("keeps the value that somebody provided before", func(ctx SpecContext) {
		Expect(admin.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "s"},
			StringData: map[string]string{"password": "theirs"}})).To(Succeed())
		Expect(b.apply(ctx, secret())).To(Equal([]apply.Outcome{apply.Created}))
		Expect(password(ctx)).To(Equal("theirs"))
	})

	It("is not posted when it cannot be filled, and its value is in no error", func(ctx SpecContext) {
		item := secret()
		item.Fill = func(*unstructured.Unstructured) error { return errors.New("no randomness") }
		_, err := b.apply(ctx, item)
		Expect(err).To(MatchError("apply Secret " + b.namespace + "/s: no randomness"))
		Expect(b.wire.take()).To(BeEmpty())
		b.wire.inject("POST secrets", 1, status(http.StatusInternalServerError, "InternalError", "etcd is full"))
		_, err = b.apply(ctx, secret())
		Expect(err).To(MatchError("apply Secret " + b.namespace + "/s: etcd is full"))
	})
})

// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"errors"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

var _ = Describe("what is not ours", func() {
	var b *bench
	BeforeEach(func(ctx SpecContext) { b = newBench(ctx) })

	// foreign makes a ConfigMap of somebody else.
	foreign := func(ctx SpecContext, name string, labels map[string]string) *corev1.ConfigMap {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name, Labels: labels},
			Data: map[string]string{"key": "theirs"}}
		Expect(admin.Create(ctx, m, client.FieldOwner("kubectl"))).To(Succeed())
		return m
	}
	untouched := func(ctx SpecContext, m *corev1.ConfigMap) {
		live := b.live(ctx, m.Name)
		Expect(live.ResourceVersion).To(Equal(m.ResourceVersion))
		Expect(live.Data).To(Equal(map[string]string{"key": "theirs"}))
	}
	notOwned := func(err error, object string) {
		GinkgoHelper()
		var e *apply.NotOwnedError
		Expect(errors.As(err, &e)).To(BeTrue(), "%v", err)
		Expect(e.Object).To(Equal(object))
	}

	It("is left alone and reported when it has a child's name", func(ctx SpecContext) {
		m := foreign(ctx, "a", nil)
		outcomes, err := b.apply(ctx, b.item(maps, "a"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		notOwned(err, "ConfigMap "+b.namespace+"/a")
		Expect(err.Error()).To(HavePrefix("apply ConfigMap " + b.namespace + "/a: "))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata"}))
		untouched(ctx, m)
		By("and the name is taken when it is free")
		b.remove(ctx, maps, "a")
		Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Created}))
	})

	It("is left alone though it carries our labels, at no request", func(ctx SpecContext) {
		m := foreign(ctx, "a", b.owner)
		b.caughtUp(ctx)
		outcomes, err := b.apply(ctx, b.item(maps, "a"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		notOwned(err, "ConfigMap "+b.namespace+"/a")
		Expect(b.wire.take()).To(BeEmpty())
		untouched(ctx, m)
	})

	It("is taken over where the item says so and the labels are ours", func(ctx SpecContext) {
		m := foreign(ctx, "a", b.owner)
		other := foreign(ctx, "b", map[string]string{label: b.namespace, "sparkpipeline.dev/pipeline": "other"})
		b.caughtUp(ctx)
		mine, theirs := b.item(maps, "a"), b.item(maps, "b")
		mine.Adopt, theirs.Adopt = true, true
		outcomes, err := b.apply(ctx, mine, theirs)
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Applied, apply.Failed}))
		notOwned(err, "ConfigMap "+b.namespace+"/b")
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + string(m.UID)}))
		untouched(ctx, other)
	})

	It("is not overwritten when it took the place of a child that the cache still shows", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.wire.inject("APPLY configmaps/a", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			b.remove(ctx, maps, "a")
			foreign(ctx, "a", nil)
			return next.RoundTrip(req)
		})
		outcomes, err := b.apply(ctx, with(b.item(maps, "a"), "key", "new"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		Expect(err).To(HaveOccurred())
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "theirs"}))
		By("and is known for what it is in the next pass")
		b.caughtUp(ctx)
		outcomes, err = b.apply(ctx, with(b.item(maps, "a"), "key", "new"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		notOwned(err, "ConfigMap "+b.namespace+"/a")
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "theirs"}))
	})

	It("is not overwritten when it comes between our look and our write", func(ctx SpecContext) {
		b.wire.inject("APPLY configmaps/a", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			foreign(ctx, "a", nil)
			return next.RoundTrip(req)
		})
		outcomes, err := b.apply(ctx, b.item(maps, "a"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		Expect(err).To(HaveOccurred())
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "theirs"}))
		outcomes, err = b.apply(ctx, b.item(maps, "a"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		notOwned(err, "ConfigMap "+b.namespace+"/a")
	})

	It("does not make a child that is deleted while it is being healed", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.wire.inject("APPLY configmaps/a", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			b.remove(ctx, maps, "a")
			return next.RoundTrip(req)
		})
		outcomes, err := b.apply(ctx, with(b.item(maps, "a"), "key", "new"))
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
		Expect(err).To(HaveOccurred())
		b.caughtUp(ctx)
		b.wire.take()
		Expect(b.apply(ctx, with(b.item(maps, "a"), "key", "new"))).To(Equal([]apply.Outcome{apply.Created}))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata", "APPLY configmaps/a"}))
	})
})

var _ = Describe("a child that holds data", func() {
	It("is healed, but never made again once it was there", func(ctx SpecContext) {
		b := newBench(ctx)
		durable := b.item(maps, "a")
		durable.Durable = true
		b.made(ctx, durable)
		uid := b.uid("a")
		b.patch(ctx, "a", `{"data":{"key":"edited"}}`)
		b.caughtUp(ctx)
		Expect(b.apply(ctx, durable)).To(Equal([]apply.Outcome{apply.Applied}))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + uid}))
		b.remove(ctx, maps, "a")
		b.caughtUp(ctx)
		for range 2 {
			Expect(b.apply(ctx, durable)).To(Equal([]apply.Outcome{apply.Lost}))
			Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata"}))
			Expect(b.uid("a")).To(Equal(uid), "what was lost stays known")
		}
		b.engine = apply.NewEngine(b.writer, b.cache, b.writer)
		Expect(b.apply(ctx, durable)).To(Equal([]apply.Outcome{apply.Lost}))
	})
})

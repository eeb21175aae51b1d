// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

var _ = Describe("a child", func() {
	var b *bench
	BeforeEach(func(ctx SpecContext) { b = newBench(ctx) })

	It("is looked for by metadata and made by one apply, then costs nothing", func(ctx SpecContext) {
		Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Created}))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata", "APPLY configmaps/a"}))
		for range 3 {
			Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Unchanged}))
		}
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Unchanged}))
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("costs nothing after a restart of the operator", func(ctx SpecContext) {
		b.made(ctx, b.item(accounts, "a"), b.item(maps, "a"), b.item(services, "a"))
		b.engine = apply.NewEngine(b.writer, b.cache, b.writer)
		Expect(b.apply(ctx, b.item(accounts, "a"), b.item(maps, "a"), b.item(services, "a"))).To(HaveEach(apply.Unchanged))
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("is applied once with its UID when a value of ours was edited, and not read", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"), b.item(maps, "b"))
		b.patch(ctx, "a", `{"data":{"key":"edited"}}`)
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"), b.item(maps, "b"))).To(Equal([]apply.Outcome{apply.Applied, apply.Unchanged}))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + b.uid("a")}))
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "value"}))
		Expect(b.apply(ctx, b.item(maps, "a"), b.item(maps, "b"))).To(HaveEach(apply.Unchanged))
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"), b.item(maps, "b"))).To(HaveEach(apply.Unchanged))
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("is applied when somebody edited a value and set it back, so that it is ours again", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.patch(ctx, "a", `{"data":{"key":"edited"}}`)
		b.patch(ctx, "a", `{"data":{"key":"value"}}`)
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Applied}))
		Expect(b.wire.take()).To(HaveLen(1))
	})

	It("is looked for and made again when it was deleted", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"), b.item(maps, "b"))
		before := b.uid("a")
		b.remove(ctx, maps, "a")
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"), b.item(maps, "b"))).To(Equal([]apply.Outcome{apply.Created, apply.Unchanged}))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata", "APPLY configmaps/a"}))
		Expect(b.uid("a")).NotTo(Equal(before))
		Expect(string(b.live(ctx, "a").UID)).To(Equal(b.uid("a")))
	})

	It("costs nothing when somebody adds fields of their own, and keeps them", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.patch(ctx, "a", `{"metadata":{"labels":{"some":"body"},"annotations":{"a":"note"},"finalizers":["some.body/holds"]},"data":{"other":"value"}}`)
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Unchanged}))
		Expect(b.wire.take()).To(BeEmpty())
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "value", "other": "value"}))
		By("and keeps them through an apply")
		Expect(b.apply(ctx, with(b.item(maps, "a"), "key", "new"))).To(Equal([]apply.Outcome{apply.Applied}))
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "new", "other": "value"}))
		b.patch(ctx, "a", `{"metadata":{"finalizers":null}}`)
	})

	It("is applied once when something new is wanted, and loses what is wanted no more", func(ctx SpecContext) {
		b.made(ctx, with(b.item(maps, "a"), "old", "1"))
		uid := b.uid("a")
		Expect(b.apply(ctx, with(b.item(maps, "a"), "new", "2"))).To(Equal([]apply.Outcome{apply.Applied}))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + uid}))
		Expect(b.live(ctx, "a").Data).To(Equal(map[string]string{"key": "value", "new": "2"}))
	})

	DescribeTable("is found and repaired when labels were taken off by hand",
		func(ctx SpecContext, patch string, requests ...string) {
			b.made(ctx, b.item(maps, "a"))
			uid := b.uid("a")
			b.patch(ctx, "a", patch)
			b.caughtUp(ctx)
			Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Applied}))
			Expect(b.wire.take()).To(Equal(append(requests, "APPLY configmaps/a uid="+uid)))
			Expect(b.live(ctx, "a").Labels).To(Equal(b.owner))
			Expect(b.uid("a")).To(Equal(uid))
		},
		Entry("one that the cache does not select by", without("sparkpipeline.dev/pipeline")),
		Entry("the one that the cache selects by", without(label), "GET configmaps/a metadata"),
		Entry("both", without(label, "sparkpipeline.dev/pipeline"), "GET configmaps/a metadata"),
		Entry("another pipeline's name in its place", `{"metadata":{"labels":{"sparkpipeline.dev/pipeline":"other"}}}`),
	)

	It("is skipped when its API is not installed, known or not, and holds nothing up", func(ctx SpecContext) {
		unknown, known := b.item(widgets, "w"), b.item(services, "x")
		known.Missing, known.Wave = true, 0
		Expect(b.apply(ctx, unknown, known, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Missing, apply.Missing, apply.Created}))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata", "APPLY configmaps/a"}))
	})

	It("that is being deleted is waited for, not written", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.patch(ctx, "a", `{"metadata":{"finalizers":["some.body/holds"]}}`)
		b.remove(ctx, maps, "a")
		b.caughtUp(ctx)
		Expect(b.apply(ctx, with(b.item(maps, "a"), "new", "2"))).To(Equal([]apply.Outcome{apply.Terminating}))
		Expect(b.wire.take()).To(BeEmpty())
		b.patch(ctx, "a", `{"metadata":{"finalizers":null}}`)
		b.caughtUp(ctx)
		Expect(b.apply(ctx, b.item(maps, "a"))).To(Equal([]apply.Outcome{apply.Created}))
	})
})

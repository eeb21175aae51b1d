// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"fmt"
	"net/http"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

var _ = Describe("waves", func() {
	var b *bench
	BeforeEach(func(ctx SpecContext) { b = newBench(ctx) })

	It("go out in their order, whatever the order of the items", func(ctx SpecContext) {
		Expect(b.apply(ctx, b.item(services, "c"), b.item(maps, "b"), b.item(accounts, "a"))).To(HaveEach(apply.Created))
		Expect(b.wire.take()).To(Equal([]string{
			"GET serviceaccounts/a metadata", "APPLY serviceaccounts/a",
			"GET configmaps/b metadata", "APPLY configmaps/b",
			"GET services/c metadata", "APPLY services/c",
		}))
	})

	It("are held by one in which a child failed, whose neighbours still go out", func(ctx SpecContext) {
		b.wire.inject("APPLY configmaps/b1", 1, status(http.StatusForbidden, "Forbidden", "a quota is full"))
		items := []apply.Item{b.item(accounts, "a"), b.item(maps, "b1"), b.item(maps, "b2"), b.item(services, "c")}
		outcomes, err := b.apply(ctx, items...)
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Created, apply.Failed, apply.Created, apply.Blocked}))
		Expect(err).To(MatchError("apply ConfigMap " + b.namespace + "/b1: a quota is full"))
		Expect(b.wire.take()).NotTo(ContainElement(ContainSubstring("services")))
		By("and go on where it ended")
		b.caughtUp(ctx)
		Expect(b.apply(ctx, items...)).To(Equal([]apply.Outcome{apply.Unchanged, apply.Created, apply.Unchanged, apply.Created}))
		Expect(b.wire.take()).To(Equal([]string{
			"GET configmaps/b1 metadata", "APPLY configmaps/b1", "GET services/c metadata", "APPLY services/c"}))
	})

	It("keep what is remembered of children that were not reached", func(ctx SpecContext) {
		items := []apply.Item{b.item(maps, "b"), b.item(services, "c")}
		b.made(ctx, items...)
		uid := b.uid("c")
		b.wire.inject("APPLY configmaps/b", 1, status(http.StatusForbidden, "Forbidden", "no"))
		items[0] = with(items[0], "key", "new")
		outcomes, err := b.apply(ctx, items...)
		Expect(err).To(HaveOccurred())
		Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed, apply.Blocked}))
		Expect(b.uid("c")).To(Equal(uid))
		b.wire.take()
		Expect(b.apply(ctx, items...)).To(Equal([]apply.Outcome{apply.Applied, apply.Unchanged}))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/b uid=" + b.uid("b")}))
	})

	It("go out side by side, eight requests at a time", func(ctx SpecContext) {
		var flying, most atomic.Int32
		b.wire.inject("", 1000, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			n := flying.Add(1)
			defer flying.Add(-1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			return next.RoundTrip(req)
		})
		var items []apply.Item
		for i := range 40 {
			items = append(items, b.item(maps, fmt.Sprintf("m%02d", i)))
		}
		Expect(b.apply(ctx, items...)).To(HaveEach(apply.Created))
		Expect(most.Load()).To(And(BeNumerically(">", 1), BeNumerically("<=", 8)))
		Expect(b.wire.take()).To(HaveLen(80))
	})
})

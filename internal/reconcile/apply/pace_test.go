// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

var _ = Describe("a child that somebody edits whenever it was repaired", func() {
	It("is repaired ten times at once, and once each Patience after that", func(ctx SpecContext) {
		b := newBench(ctx)
		clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		b.engine.Clock = clock
		b.made(ctx, b.item(maps, "b"))
		b.wire.take()
		edit := func() {
			b.patch(ctx, "b", `{"data":{"key":"theirs"}}`)
			b.caughtUp(ctx)
		}
		for range 10 {
			edit()
			Expect(b.apply(ctx, b.item(maps, "b"))).To(Equal([]apply.Outcome{apply.Applied}))
		}
		edit()
		b.wire.take()
		Expect(b.apply(ctx, b.item(maps, "b"))).To(Equal([]apply.Outcome{apply.Unchanged}))
		Expect(b.wire.take()).To(BeEmpty())
		By("while something new goes out at any time")
		Expect(b.apply(ctx, with(b.item(maps, "b"), "key", "new"))).To(Equal([]apply.Outcome{apply.Applied}))
		edit()
		Expect(b.apply(ctx, with(b.item(maps, "b"), "key", "new"))).To(Equal([]apply.Outcome{apply.Unchanged}))
		clock.SetTime(clock.Now().Add(apply.Patience))
		Expect(b.apply(ctx, with(b.item(maps, "b"), "key", "new"))).To(Equal([]apply.Outcome{apply.Applied}))
		Expect(b.live(ctx, "b").Data).To(HaveKeyWithValue("key", "new"))
	})
})

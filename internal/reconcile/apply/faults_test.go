// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

type answer = func(*http.Request, http.RoundTripper) (*http.Response, error)

var _ = Describe("an API server that", func() {
	var b *bench
	BeforeEach(func(ctx SpecContext) { b = newBench(ctx) })

	// wanted checks that the child is there once and as wanted, whatever happened.
	wanted := func(ctx SpecContext, value string) {
		GinkgoHelper()
		Expect(b.live(ctx, "a").Data).To(HaveKeyWithValue("key", value))
		Expect(string(b.live(ctx, "a").UID)).To(Equal(b.uid("a")))
		b.caughtUp(ctx)
		b.wire.take()
		Expect(b.apply(ctx, with(b.item(maps, "a"), "key", value))).To(HaveEach(apply.Unchanged))
		Expect(b.wire.take()).To(BeEmpty())
	}

	DescribeTable("fails a write: the next pass makes it good, and the error says what was being done to what",
		func(ctx SpecContext, fault answer, message string, is func(error) bool) {
			for _, value := range []string{"made", "changed"} {
				By("a child that is to be " + value)
				b.wire.inject("APPLY configmaps/a", 1, fault)
				outcomes, err := b.apply(ctx, with(b.item(maps, "a"), "key", value))
				Expect(outcomes).To(Equal([]apply.Outcome{apply.Failed}))
				Expect(err).To(MatchError(And(HavePrefix("apply ConfigMap "+b.namespace+"/a: "), ContainSubstring(message))))
				if is != nil {
					Expect(is(unjoin(err))).To(BeTrue(), "the cause is kept: %v", err)
				}
				outcomes, err = b.apply(ctx, with(b.item(maps, "a"), "key", value))
				Expect(err).NotTo(HaveOccurred())
				Expect(outcomes).To(Equal([]apply.Outcome{made(value)}))
				wanted(ctx, value)
			}
		},
		Entry("409", answer(status(409, "Conflict", "the object has been modified")), "the object has been modified", apierrors.IsConflict),
		Entry("422", answer(status(422, "Invalid", "data.key: Invalid value")), "data.key: Invalid value", apierrors.IsInvalid),
		Entry("403", answer(status(403, "Forbidden", "exceeded quota: tight")), "exceeded quota: tight", apierrors.IsForbidden),
		Entry("500", answer(status(500, "InternalError", "etcdserver: request timed out")), "etcdserver: request timed out", apierrors.IsInternalError),
		Entry("504", answer(status(504, "Timeout", "request did not complete within the allotted timeout")), "allotted timeout", apierrors.IsTimeout),
		Entry("a request that never arrives", answer(unsent), "i/o timeout", nil),
	)

	It("loses the answer to a creation: it is found, not made twice", func(ctx SpecContext) {
		b.wire.inject("APPLY configmaps/a", 1, lost)
		_, err := b.apply(ctx, with(b.item(maps, "a"), "key", "1"))
		Expect(err).To(MatchError(ContainSubstring("apply ConfigMap " + b.namespace + "/a")))
		uid := b.live(ctx, "a").UID
		b.caughtUp(ctx)
		b.wire.take()
		Expect(b.apply(ctx, with(b.item(maps, "a"), "key", "1"))).To(HaveEach(apply.Applied))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + string(uid)}))
		wanted(ctx, "1")
	})

	It("loses the answer to a change: it is sent again, to the same object", func(ctx SpecContext) {
		b.made(ctx, with(b.item(maps, "a"), "key", "1"))
		uid := b.uid("a")
		b.wire.inject("APPLY configmaps/a", 1, lost)
		_, err := b.apply(ctx, with(b.item(maps, "a"), "key", "2"))
		Expect(err).To(HaveOccurred())
		Expect(b.apply(ctx, with(b.item(maps, "a"), "key", "2"))).To(HaveEach(apply.Applied))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + uid, "APPLY configmaps/a uid=" + uid}))
		wanted(ctx, "2")
	})

	It("asks to slow down is given the time it asks for", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.wire.inject("APPLY configmaps/a", 1, status(http.StatusTooManyRequests, "TooManyRequests", "slow down", "Retry-After", "1"))
		Expect(b.apply(ctx, with(b.item(maps, "a"), "key", "2"))).To(HaveEach(apply.Applied))
		Expect(b.wire.pause()).To(BeNumerically(">=", time.Second))
		Expect(b.wire.take()).To(HaveLen(2))
		wanted(ctx, "2")
	})

	It("does not end asking to slow down is not waited for beyond the end of the pass", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "a"))
		b.wire.inject("APPLY configmaps/a", 1000, status(http.StatusTooManyRequests, "TooManyRequests", "slow down", "Retry-After", "1"))
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		outcomes, err := b.apply(short, with(b.item(maps, "a"), "key", "2"))
		Expect(outcomes).To(HaveEach(apply.Failed))
		Expect(err).To(MatchError(HavePrefix("apply ConfigMap " + b.namespace + "/a: ")))
		Expect(b.live(ctx, "a").Data).To(HaveKeyWithValue("key", "value"))
	})

	It("cannot be asked whether a name is free is not written to", func(ctx SpecContext) {
		b.wire.inject("GET configmaps/a", 1, status(500, "InternalError", "etcd is full"))
		outcomes, err := b.apply(ctx, b.item(maps, "a"))
		Expect(outcomes).To(HaveEach(apply.Failed))
		Expect(err).To(MatchError("apply ConfigMap " + b.namespace + "/a: look whether the name is free: etcd is full"))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata"}))
	})

	It("fails many writes of a wave names every child once", func(ctx SpecContext) {
		b.wire.inject("APPLY configmaps", 2, status(500, "InternalError", "etcd is full"))
		_, err := b.apply(ctx, b.item(maps, "a"), b.item(maps, "b"))
		Expect(strings.Split(err.Error(), "\n")).To(ConsistOf(
			"apply ConfigMap "+b.namespace+"/a: etcd is full", "apply ConfigMap "+b.namespace+"/b: etcd is full"))
	})
})

// made is what becomes of a child at the values of the table above.
func made(value string) apply.Outcome {
	if value == "made" {
		return apply.Created
	}
	return apply.Applied
}

// unjoin answers with the one error that was joined.
func unjoin(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		Expect(joined.Unwrap()).To(HaveLen(1))
		return joined.Unwrap()[0]
	}
	return err
}

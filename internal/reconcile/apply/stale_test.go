// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

// slowCache is a cache that holds what the test shows it, and nothing else. It
// tells the engine, as a watch would.
type slowCache struct {
	client.Reader
	engine *apply.Engine
	held   map[string]*metav1.PartialObjectMetadata
}

func (c *slowCache) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	m := o.(*metav1.PartialObjectMetadata)
	held, ok := c.held[m.Kind+"/"+key.Name]
	if !ok {
		return apierrors.NewNotFound(maps.GroupVersion().WithResource(m.Kind).GroupResource(), key.Name)
	}
	held.DeepCopyInto(m)
	return nil
}

// show lets the cache have a ConfigMap as it is now at the API server.
func (c *slowCache) show(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	live := metadata(maps, "", "")
	err := admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, live)
	before := c.held["ConfigMap/"+name]
	if apierrors.IsNotFound(err) {
		delete(c.held, "ConfigMap/"+name)
		if before != nil {
			c.engine.Seen(before, true)
		}
		return
	}
	Expect(err).NotTo(HaveOccurred())
	trimmed, err := apply.Trim(live)
	Expect(err).NotTo(HaveOccurred())
	c.held["ConfigMap/"+name] = trimmed.(*metav1.PartialObjectMetadata)
	c.engine.Seen(trimmed.(*metav1.PartialObjectMetadata), false)
}

var _ = Describe("a cache that is late", func() {
	var b *bench
	var slow *slowCache
	var clock *clocktesting.FakePassiveClock
	BeforeEach(func(ctx SpecContext) {
		b = newBench(ctx)
		slow = &slowCache{held: map[string]*metav1.PartialObjectMetadata{}}
		b.engine = apply.NewEngine(b.writer, slow, b.writer)
		clock = clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		b.engine.Clock = clock
		slow.engine = b.engine
	})
	item := func(value string) apply.Item { return with(b.item(maps, "a"), "key", value) }
	nothing := func(ctx SpecContext, value string) {
		GinkgoHelper()
		Expect(b.apply(ctx, item(value))).To(HaveEach(apply.Unchanged))
		Expect(b.wire.take()).To(BeEmpty())
	}

	It("by the event after the answer costs nothing and hides nothing", func(ctx SpecContext) {
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		b.wire.take()
		nothing(ctx, "1")
		slow.show(ctx, b.namespace, "a")
		nothing(ctx, "1")
		By("while it still shows the version before a change of ours")
		Expect(b.apply(ctx, item("2"))).To(HaveEach(apply.Applied))
		b.wire.take()
		nothing(ctx, "2")
		slow.show(ctx, b.namespace, "a")
		nothing(ctx, "2")
		By("and an edit after that is seen")
		b.patch(ctx, "a", `{"data":{"key":"edited"}}`)
		slow.show(ctx, b.namespace, "a")
		Expect(b.apply(ctx, item("2"))).To(HaveEach(apply.Applied))
	})

	It("by nothing, for the event comes before the answer", func(ctx SpecContext) {
		b.wire.inject("APPLY configmaps/a", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			answer, err := next.RoundTrip(req)
			slow.show(ctx, b.namespace, "a")
			return answer, err
		})
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		b.wire.take()
		nothing(ctx, "1")
		By("and its deletion is seen at once")
		b.remove(ctx, maps, "a")
		slow.show(ctx, b.namespace, "a")
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
	})

	It("still holds its tongue when somebody undoes our write before it was shown", func(ctx SpecContext) {
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		b.patch(ctx, "a", `{"data":{"key":"edited"}}`)
		slow.show(ctx, b.namespace, "a")
		b.wire.take()
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Applied))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + b.uid("a")}))
	})

	It("and a status that was not stored make nobody believe that the child is somebody else's", func(ctx SpecContext) {
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		uid := b.live(ctx, "a").UID
		b.memory = nil // The write of the status failed.
		b.wire.take()
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Applied))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + string(uid)}))
		nothing(ctx, "1")
	})

	It("for ever: a child that is gone meanwhile comes back after the engine's patience", func(ctx SpecContext) {
		results, err := b.engine.Apply(ctx, b.owner, []apply.Item{item("1")}, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(results[0].Pending).To(BeTrue(), "somebody has to look again")
		b.memory = append(b.memory, results[0].Memory)
		b.remove(ctx, maps, "a") // A watch that is broken meanwhile shows neither of the two.
		b.wire.take()
		nothing(ctx, "1")
		clock.SetTime(clock.Now().Add(apply.Patience))
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata", "APPLY configmaps/a"}))
		Expect(string(b.live(ctx, "a").UID)).To(Equal(b.uid("a")))
	})

	It("for ever: a child that is there costs one look per patience, and no write", func(ctx SpecContext) {
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		b.wire.take()
		for range 3 {
			clock.SetTime(clock.Now().Add(apply.Patience))
			Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Unchanged))
			Expect(b.wire.take()).To(Equal([]string{"GET configmaps/a metadata"}))
			nothing(ctx, "1")
		}
		slow.show(ctx, b.namespace, "a")
		clock.SetTime(clock.Now().Add(apply.Patience))
		nothing(ctx, "1")
	})

	It("for ever, of a change: what it shows is believed after the engine's patience", func(ctx SpecContext) {
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		slow.show(ctx, b.namespace, "a")
		wider := with(item("1"), "more", "2")
		Expect(b.apply(ctx, wider)).To(HaveEach(apply.Applied))
		Expect(b.apply(ctx, wider)).To(HaveEach(apply.Unchanged))
		b.wire.take()
		clock.SetTime(clock.Now().Add(apply.Patience))
		Expect(b.apply(ctx, wider)).To(HaveEach(apply.Applied))
		Expect(b.apply(ctx, wider)).To(HaveEach(apply.Unchanged))
		Expect(b.wire.take()).To(Equal([]string{"APPLY configmaps/a uid=" + b.uid("a")}))
	})

	It("is believed of a deletion although a write that changed nothing came between", func(ctx SpecContext) {
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
		slow.show(ctx, b.namespace, "a")
		b.memory = nil
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Applied), "no event will tell of it")
		b.wire.take()
		nothing(ctx, "1")
		b.remove(ctx, maps, "a")
		delete(slow.held, "ConfigMap/a") // Found gone by a list, so nobody told.
		Expect(b.apply(ctx, item("1"))).To(HaveEach(apply.Created))
	})
})

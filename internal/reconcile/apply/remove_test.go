// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

// there says whether an object exists.
func (b *bench) there(ctx context.Context, gvk schema.GroupVersionKind, name string) bool {
	err := admin.Get(ctx, client.ObjectKey{Namespace: b.namespace, Name: name}, metadata(gvk, "", ""))
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	return !apierrors.IsNotFound(err)
}

func objects(items ...apply.Item) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, i := range items {
		out = append(out, i.Object)
	}
	return out
}

var _ = Describe("pruning", func() {
	var b *bench
	BeforeEach(func(ctx SpecContext) { b = newBench(ctx) })

	It("costs nothing when there is nothing to prune", func(ctx SpecContext) {
		items := []apply.Item{b.item(accounts, "a"), b.item(maps, "a")}
		b.made(ctx, items...)
		Expect(b.engine.Prune(ctx, b.owner, kinds, objects(items...))).To(Succeed())
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("deletes what is ours and no longer wanted, by its UID, last kind first", func(ctx SpecContext) {
		keep := b.item(maps, "keep")
		b.made(ctx, b.item(accounts, "a"), keep, b.item(maps, "b"), b.item(services, "c"))
		Expect(b.engine.Prune(ctx, b.owner, kinds, objects(keep))).To(Succeed())
		Expect(b.wire.take()).To(Equal([]string{
			"DELETE services/c uid=" + b.uid("c"), "DELETE configmaps/b uid=" + b.uid("b"), "DELETE serviceaccounts/a uid=" + b.uid("a")}))
		Expect(b.there(ctx, maps, "keep")).To(BeTrue())
		Expect(b.there(ctx, maps, "b")).To(BeFalse())
		b.caughtUp(ctx)
		Expect(b.engine.Prune(ctx, b.owner, kinds, objects(keep))).To(Succeed())
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("leaves alone what we did not apply, what is another pipeline's, what holds data and what is going", func(ctx SpecContext) {
		other := b.item(maps, "other")
		other.Object.SetLabels(map[string]string{label: b.namespace, "sparkpipeline.dev/pipeline": "other"})
		b.made(ctx, other, b.item(accounts, "data"), b.item(maps, "going"))
		Expect(admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "labelled", Labels: b.owner}})).To(Succeed())
		b.patch(ctx, "going", `{"metadata":{"finalizers":["some.body/holds"]}}`)
		b.remove(ctx, maps, "going")
		b.caughtUp(ctx)
		durable := []apply.Kind{{GVK: accounts, Wave: 1, Durable: true}, {GVK: maps, Wave: 2}}
		Expect(b.engine.Prune(ctx, b.owner, durable, nil)).To(Succeed())
		Expect(b.wire.take()).To(BeEmpty())
	})

	It("does not delete an object that has replaced ours behind the cache", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"))
		b.wire.inject("DELETE configmaps/b", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			b.remove(ctx, maps, "b")
			Expect(admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "b"}})).To(Succeed())
			return next.RoundTrip(req)
		})
		Expect(b.engine.Prune(ctx, b.owner, kinds, nil)).To(MatchError(apierrors.IsConflict, "a conflict, so that the next pass comes and looks again"))
		Expect(b.there(ctx, maps, "b")).To(BeTrue())
	})

	It("takes an object that is gone already for done", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"))
		b.wire.inject("DELETE configmaps/b", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			b.remove(ctx, maps, "b")
			return next.RoundTrip(req)
		})
		Expect(b.engine.Prune(ctx, b.owner, kinds, nil)).To(Succeed())
	})

	It("names what it could not delete, and deletes the rest", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"), b.item(services, "c"))
		b.wire.inject("DELETE services/c", 1, status(http.StatusInternalServerError, "InternalError", "etcd is full"))
		Expect(b.engine.Prune(ctx, b.owner, kinds, nil)).To(MatchError("delete Service " + b.namespace + "/c: etcd is full"))
		Expect(b.there(ctx, maps, "b")).To(BeFalse())
	})

	It("passes over kinds that are not watched or not installed", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"))
		more := append([]apply.Kind{
			{GVK: widgets, Wave: 3},
			{GVK: schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "CronJob"}, Wave: 3},
		}, kinds...)
		Expect(b.engine.Prune(ctx, b.owner, more, nil)).To(Succeed())
		Expect(b.there(ctx, maps, "b")).To(BeFalse())
	})
})

var _ = Describe("deletion wave by wave", func() {
	var b *bench
	BeforeEach(func(ctx SpecContext) { b = newBench(ctx) })
	everywhere := apply.Scope{}

	It("goes backwards and ends empty", func(ctx SpecContext) {
		b.made(ctx, b.item(accounts, "a"), b.item(maps, "b"), b.item(services, "c"))
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(Equal("Service c"))
		Expect(b.wire.take()).To(ContainElement("DELETE services/c uid=" + b.uid("c")))
		Expect(b.there(ctx, maps, "b")).To(BeTrue())
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(Equal("ConfigMap b"))
		Expect(b.there(ctx, accounts, "a")).To(BeTrue())
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(Equal("ServiceAccount a"))
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(BeEmpty())
	})

	It("waits for what is held by a finalizer, without a second delete", func(ctx SpecContext) {
		b.made(ctx, b.item(accounts, "a"), b.item(maps, "b"))
		b.patch(ctx, "b", `{"metadata":{"finalizers":["some.body/holds"]}}`)
		for range 3 {
			Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(Equal("ConfigMap b"))
		}
		deletes := 0
		for _, r := range b.wire.take() {
			if r == "DELETE configmaps/b uid="+b.uid("b") {
				deletes++
			}
		}
		Expect(deletes).To(Equal(1))
		Expect(b.there(ctx, accounts, "a")).To(BeTrue())
		b.patch(ctx, "b", `{"metadata":{"finalizers":null}}`)
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(Equal("ServiceAccount a"))
	})

	It("leaves alone what is not ours and what was left out", func(ctx SpecContext) {
		other := b.item(maps, "other")
		other.Object.SetLabels(map[string]string{label: b.namespace, "sparkpipeline.dev/pipeline": "other"})
		b.made(ctx, other, b.item(accounts, "data"))
		Expect(admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "labelled", Labels: b.owner}})).To(Succeed())
		without := apply.WithoutDurable([]apply.Kind{{GVK: accounts, Wave: 1, Durable: true}, {GVK: maps, Wave: 2}})
		Expect(b.engine.DeleteWave(ctx, b.owner, without, everywhere)).To(BeEmpty())
		Expect(b.there(ctx, maps, "other") && b.there(ctx, maps, "labelled") && b.there(ctx, accounts, "data")).To(BeTrue())
	})

	It("finds a child that no cache has shown", func(ctx SpecContext) {
		Expect(b.apply(ctx, b.item(maps, "b"))).To(HaveEach(apply.Created))
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, apply.Scope{Namespaces: []string{b.namespace}})).To(Equal("ConfigMap b"))
		Expect(b.there(ctx, maps, "b")).To(BeFalse())
	})

	It("looks in the namespaces of its scope alone", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"))
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, apply.Scope{Namespaces: []string{"default"}})).To(BeEmpty())
		Expect(b.there(ctx, maps, "b")).To(BeTrue())
	})

	It("is not blocked by an API that is gone", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"))
		gone := append([]apply.Kind{}, kinds...)
		gone = append(gone, apply.Kind{GVK: widgets, Wave: 3})
		Expect(b.engine.DeleteWave(ctx, b.owner, gone, everywhere)).To(Equal("ConfigMap b"))
		Expect(b.engine.DeleteWave(ctx, b.owner, gone, everywhere)).To(BeEmpty())
	})

	It("does not begin with an earlier wave while it cannot see a later one", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"), b.item(services, "c"))
		b.wire.inject("GET services", 1, status(http.StatusInternalServerError, "InternalError", "etcd is full"))
		b.wire.inject("GET /api/v1/services", 1, status(http.StatusInternalServerError, "InternalError", "etcd is full"))
		left, err := b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)
		Expect(err).To(MatchError("list Service to delete: etcd is full"))
		Expect(left).To(BeEmpty())
		Expect(b.there(ctx, maps, "b")).To(BeTrue())
	})

	It("does not delete an object that has replaced ours since the look", func(ctx SpecContext) {
		b.made(ctx, b.item(maps, "b"))
		b.wire.inject("DELETE configmaps/b", 1, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			b.remove(ctx, maps, "b")
			Expect(admin.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "b"}})).To(Succeed())
			return next.RoundTrip(req)
		})
		left, err := b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)
		Expect(err).To(MatchError(apierrors.IsConflict, "a conflict, so that the next pass comes and looks again"))
		Expect(left).To(Equal("ConfigMap b"))
		Expect(b.there(ctx, maps, "b")).To(BeTrue())
		Expect(b.engine.DeleteWave(ctx, b.owner, kinds, everywhere)).To(BeEmpty())
	})
})

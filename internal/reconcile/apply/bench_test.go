// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

// The kinds of the tests, in the order of apply.
var (
	accounts = schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}
	maps     = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	services = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	secrets  = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	widgets  = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}

	kinds = []apply.Kind{
		{GVK: accounts, Wave: 1}, {GVK: secrets, Wave: 1, Once: true}, {GVK: maps, Wave: 2}, {GVK: services, Wave: 3},
	}
)

// bench is an engine with a namespace, a pipeline and a cache of its own.
type bench struct {
	namespace string
	owner     map[string]string
	wire      *wire
	writer    client.Client
	cache     cache.Cache
	engine    *apply.Engine
	// memory is what the status of the pipeline would hold.
	memory []v1alpha1.ChildStatus
}

var serial atomic.Int32

// newBench makes a namespace and an engine whose cache holds the pipeline's
// children in it, as the operator's cache does.
func newBench(ctx context.Context) *bench {
	b := &bench{namespace: fmt.Sprintf("bench-%d", serial.Add(1))}
	b.owner = map[string]string{"sparkpipeline.dev/pipeline": "orders", "sparkpipeline.dev/pipeline-namespace": b.namespace}
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}})).To(Succeed())
	counted := rest.CopyConfig(config)
	counted.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
		b.wire = &wire{next: next}
		return b.wire
	}
	var err error
	b.writer, err = client.New(counted, client.Options{Scheme: clientgoscheme.Scheme, Mapper: admin.RESTMapper()})
	Expect(err).NotTo(HaveOccurred())
	b.startCache(ctx)
	b.engine = apply.NewEngine(b.writer, b.cache, b.writer)
	b.watch(ctx, b.engine)
	return b
}

func (b *bench) startCache(ctx context.Context) {
	marked, err := labels.Parse("sparkpipeline.dev/pipeline-namespace")
	Expect(err).NotTo(HaveOccurred())
	b.cache, err = cache.New(config, cache.Options{
		Scheme: clientgoscheme.Scheme, Mapper: admin.RESTMapper(), ReaderFailOnMissingInformer: true,
		DefaultNamespaces: map[string]cache.Config{b.namespace: {}}, DefaultLabelSelector: marked, DefaultTransform: apply.Trim,
	})
	Expect(err).NotTo(HaveOccurred())
	for _, gvk := range []schema.GroupVersionKind{accounts, maps, services} {
		Expect(b.cache.IndexField(ctx, metadata(gvk, "", ""), apply.IndexOwner, apply.OwnerKey)).To(Succeed())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- b.cache.Start(running) }()
	DeferCleanup(func() {
		stop()
		Eventually(done).Should(Receive(BeNil()))
	})
	Expect(b.cache.WaitForCacheSync(running)).To(BeTrue())
}

// watch tells an engine what the cache comes to hold, as the controller does.
func (b *bench) watch(ctx context.Context, e *apply.Engine) {
	tell := func(o any, gone bool) {
		if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		e.Seen(o.(*metav1.PartialObjectMetadata), gone)
	}
	for _, gvk := range []schema.GroupVersionKind{accounts, maps, services} {
		informer, err := b.cache.GetInformer(ctx, metadata(gvk, "", ""))
		Expect(err).NotTo(HaveOccurred())
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { tell(o, false) },
			UpdateFunc: func(_, o any) { tell(o, false) },
			DeleteFunc: func(o any) { tell(o, true) },
		})
		Expect(err).NotTo(HaveOccurred())
	}
}

// apply makes a pass and keeps what the engine wants remembered.
func (b *bench) apply(ctx context.Context, items ...apply.Item) ([]apply.Outcome, error) {
	results, err := b.engine.Apply(ctx, b.owner, items, b.memory)
	b.memory = nil
	outcomes := make([]apply.Outcome, len(results))
	for i, r := range results {
		b.memory = append(b.memory, r.Memory)
		outcomes[i] = r.Outcome
	}
	return outcomes, err
}

// made applies items that are to come out as created, and waits for the cache.
func (b *bench) made(ctx context.Context, items ...apply.Item) {
	outcomes, err := b.apply(ctx, items...)
	Expect(err).NotTo(HaveOccurred())
	Expect(outcomes).To(HaveEach(apply.Created))
	b.caughtUp(ctx)
	b.wire.take()
}

// caughtUp waits until the cache holds what the API server holds.
func (b *bench) caughtUp(ctx context.Context) {
	versions := func(r client.Reader, gvk schema.GroupVersionKind) (map[string]string, error) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		err := r.List(ctx, list, client.InNamespace(b.namespace), client.HasLabels{"sparkpipeline.dev/pipeline-namespace"})
		out := map[string]string{}
		for _, o := range list.Items {
			out[o.Name] = o.ResourceVersion
		}
		return out, err
	}
	for _, gvk := range []schema.GroupVersionKind{accounts, maps, services} {
		Eventually(func(g Gomega) {
			live, err := versions(admin, gvk)
			g.Expect(err).NotTo(HaveOccurred())
			cached, err := versions(b.cache, gvk)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(cached).To(Equal(live))
		}).Should(Succeed())
	}
}

// item is a child of the bench's pipeline, of a kind and a name.
func (b *bench) item(gvk schema.GroupVersionKind, name string) apply.Item {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(gvk)
	o.SetNamespace(b.namespace)
	o.SetName(name)
	o.SetLabels(b.owner)
	switch gvk {
	case maps:
		o.Object["data"] = map[string]any{"key": "value"}
	case services:
		o.Object["spec"] = map[string]any{"ports": []any{map[string]any{"port": int64(80), "protocol": "TCP"}}}
	}
	it := apply.Item{Object: o}
	for _, k := range kinds {
		if k.GVK == gvk {
			it.Wave = k.Wave
		}
	}
	return it
}

func with(item apply.Item, key, value string) apply.Item {
	item.Object = item.Object.DeepCopy()
	Expect(unstructured.SetNestedField(item.Object.Object, value, "data", key)).To(Succeed())
	return item
}

// live reads a ConfigMap as the API server has it.
func (b *bench) live(ctx context.Context, name string) *corev1.ConfigMap {
	m := &corev1.ConfigMap{}
	Expect(admin.Get(ctx, client.ObjectKey{Namespace: b.namespace, Name: name}, m)).To(Succeed())
	return m
}

// patch is somebody's edit of a ConfigMap.
func (b *bench) patch(ctx context.Context, name, text string) {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name}}
	Expect(admin.Patch(ctx, m, client.RawPatch(types.MergePatchType, []byte(text)))).To(Succeed())
}

func (b *bench) remove(ctx context.Context, gvk schema.GroupVersionKind, name string) {
	Expect(admin.Delete(ctx, metadata(gvk, b.namespace, name))).To(Succeed())
}

// uid of a child, as it is remembered.
func (b *bench) uid(name string) string {
	for _, m := range b.memory {
		if m.Name == name {
			return string(m.UID)
		}
	}
	return "none"
}

func metadata(gvk schema.GroupVersionKind, namespace, name string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	m.SetGroupVersionKind(gvk)
	return m
}

// label of the pipeline's namespace, which the cache selects by.
const label = "sparkpipeline.dev/pipeline-namespace"

// without is a patch that takes labels off.
func without(names ...string) string {
	var pairs []string
	for _, n := range names {
		pairs = append(pairs, fmt.Sprintf("%q:null", n))
	}
	return `{"metadata":{"labels":{` + strings.Join(pairs, ",") + `}}}`
}

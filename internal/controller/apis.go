// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// APIs knows which kinds of children the cluster serves. The optional ones come
// and go with their CRDs: it is told by a watch on the CRDs' metadata, so a kind
// that appears is applied and watched at once, and one that is not there costs
// nothing.
type APIs struct {
	kinds []apply.Kind
	// optional maps the name of a CRD to the kind that it brings.
	optional map[string]schema.GroupVersionKind

	mu        sync.RWMutex
	installed map[schema.GroupVersionKind]bool
}

// NewAPIs lists the kinds of children from the registry and asks the API server
// which of the optional ones are installed. An API server that does not answer is
// an error, never a missing API.
func NewAPIs(scheme *runtime.Scheme, mapper meta.RESTMapper) (*APIs, error) {
	a := &APIs{optional: map[string]schema.GroupVersionKind{}, installed: map[schema.GroupVersionKind]bool{}}
	for _, k := range desired.Kinds() {
		gvk, err := apiutil.GVKForObject(k.Object, scheme)
		if err != nil {
			return nil, fmt.Errorf("kind of child %s: %w", k.Name, err)
		}
		a.kinds = append(a.kinds, apply.Kind{GVK: gvk, Wave: k.Wave, Durable: k.Durable, Once: k.Once})
	}
	all := []schema.GroupVersionKind{sparkapi.GroupVersionKind}
	for _, k := range a.kinds {
		all = append(all, k.GVK)
	}
	for _, gvk := range all {
		_, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil && !meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("ask for the API of %s: %w", gvk.Kind, err)
		}
		a.installed[gvk] = err == nil
		if strings.Contains(gvk.Group, ".") && !strings.HasSuffix(gvk.Group, ".k8s.io") || isCRD(gvk.Group) {
			plural, _ := meta.UnsafeGuessKindToResource(gvk)
			a.optional[plural.Resource+"."+gvk.Group] = gvk
		}
	}
	return a, nil
}

// isCRD names the groups under k8s.io that CRDs bring.
func isCRD(group string) bool {
	switch group {
	case "sparkoperator.k8s.io", "snapshot.storage.k8s.io", "autoscaling.k8s.io":
		return true
	}
	return false
}

// Installed says that the API server serves the kind.
func (a *APIs) Installed(gvk schema.GroupVersionKind) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.installed[gvk]
}

// Kinds lists the kinds of children that are installed, in the order of apply.
func (a *APIs) Kinds() []apply.Kind {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var out []apply.Kind
	for _, k := range a.kinds {
		if a.installed[k.GVK] {
			out = append(out, k)
		}
	}
	return out
}

// set notes that a kind came or went, and says whether that is news.
func (a *APIs) set(gvk schema.GroupVersionKind, installed bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.installed[gvk] == installed {
		return false
	}
	a.installed[gvk] = installed
	return true
}

// await takes the optional kinds for absent until they are watched, and answers
// with those that are to be expected.
func (a *APIs) await() []schema.GroupVersionKind {
	a.mu.Lock()
	defer a.mu.Unlock()
	expected := slices.DeleteFunc(slices.Collect(maps.Values(a.optional)), func(gvk schema.GroupVersionKind) bool { return !a.installed[gvk] })
	for _, gvk := range expected {
		a.installed[gvk] = false
	}
	return expected
}

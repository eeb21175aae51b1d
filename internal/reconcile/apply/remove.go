// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// IndexOwner is the name of the index by which children are found in the cache.
const IndexOwner = "sparkpipeline-owner"

// OwnerKey is the value of that index for an object: its inventory labels.
func OwnerKey(o client.Object) []string {
	pairs := []string{}
	for k, v := range o.GetLabels() {
		if k == labelPipeline || k == labelPipelineNamespace {
			pairs = append(pairs, k+"="+v)
		}
	}
	if len(pairs) < 2 {
		return nil
	}
	return []string{ownerKey(o.GetLabels())}
}

// The inventory labels. They stand here a second time because this package must
// not know who describes the children.
const (
	labelPipeline          = "sparkpipeline.dev/pipeline"
	labelPipelineNamespace = "sparkpipeline.dev/pipeline-namespace"
)

func ownerKey(labels map[string]string) string {
	return labels[labelPipelineNamespace] + "/" + labels[labelPipeline]
}

// Prune deletes the children of the given kinds that are not among keep, last
// kind first. It is to be called only after every apply succeeded. Durable kinds
// are left alone. Nothing to prune costs no request.
func (e *Engine) Prune(ctx context.Context, owner map[string]string, kinds []Kind, keep []*unstructured.Unstructured) error {
	kept := make(map[key]bool, len(keep))
	for _, o := range keep {
		kept[keyOf(o)] = true
	}
	var errs []error
	for _, kind := range backwards(kinds) {
		if kind.Durable || kind.Once {
			continue
		}
		found := &metav1.PartialObjectMetadataList{}
		found.SetGroupVersionKind(listKind(kind.GVK))
		if err := e.cache.List(ctx, found, client.MatchingFields{IndexOwner: ownerKey(owner)}); err != nil {
			// An API that has just come or gone is not watched for a moment.
			notCached := (*cache.ErrResourceNotCached)(nil)
			if !meta.IsNoMatchError(err) && !errors.As(err, &notCached) {
				errs = append(errs, fmt.Errorf("list %s to prune: %w", kind.GVK.Kind, err))
			}
			continue
		}
		for i := range found.Items {
			o := &found.Items[i]
			o.SetGroupVersionKind(kind.GVK)
			if kept[key{kind.GVK, o.Namespace, o.Name}] || o.Annotations[annotationEntry] == "" || o.DeletionTimestamp != nil {
				continue
			}
			errs = append(errs, e.delete(ctx, o))
		}
	}
	return errors.Join(errs...)
}

// Scope says where DeleteWave looks.
type Scope struct {
	// Namespaces to look in; none looks everywhere.
	Namespaces []string
}

// DeleteWave deletes the children of the last wave that still has some and says
// which kinds are left, empty for none. It asks the API server: a cache that has
// not shown a child yet must not leak it. Kinds that are posted once are left to
// the garbage collector.
func (e *Engine) DeleteWave(ctx context.Context, owner map[string]string, kinds []Kind, scope Scope) (string, error) {
	// held says that wave still has members, or that it cannot be seen whether.
	wave, held, left := 0, false, []string{}
	var errs []error
	for _, kind := range distinct(backwards(kinds)) {
		if kind.Once || held && kind.Wave != wave {
			continue
		}
		members, err := e.members(ctx, owner, kind.GVK, scope)
		if err != nil {
			errs = append(errs, err)
		}
		if err != nil || len(members) > 0 {
			wave, held = kind.Wave, true
		}
		for i := range members {
			left = append(left, kind.GVK.Kind+" "+members[i].Name)
			if members[i].DeletionTimestamp == nil {
				errs = append(errs, e.delete(ctx, &members[i]))
			}
		}
	}
	return strings.Join(left, ", "), errors.Join(errs...)
}

// members lists our children of a kind as the API server has them.
func (e *Engine) members(ctx context.Context, owner map[string]string, gvk schema.GroupVersionKind, scope Scope) ([]metav1.PartialObjectMetadata, error) {
	namespaces := scope.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var out []metav1.PartialObjectMetadata
	for _, ns := range namespaces {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(listKind(gvk))
		err := e.live.List(ctx, list, client.InNamespace(ns), client.MatchingLabels(owner))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %s to delete: %w", gvk.Kind, err)
		}
		for _, o := range list.Items {
			if entryOf(o.ManagedFields) != "" {
				o.SetGroupVersionKind(gvk)
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// delete deletes exactly the object that was looked at. One that is gone is no
// failure. A conflict is one: nothing else would make the next pass come.
func (e *Engine) delete(ctx context.Context, o *metav1.PartialObjectMetadata) error {
	err := e.client.Delete(ctx, o, client.Preconditions{UID: &o.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("delete %s %s/%s: %w", o.Kind, o.Namespace, o.Name, err)
}

// WithoutDurable leaves out the kinds that hold data.
func WithoutDurable(kinds []Kind) []Kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return k.Durable })
}

func backwards(kinds []Kind) []Kind {
	out := slices.Clone(kinds)
	slices.Reverse(out)
	return out
}

// distinct keeps each kind once, where it comes first.
func distinct(kinds []Kind) []Kind {
	seen := map[schema.GroupVersionKind]bool{}
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool {
		if seen[k.GVK] {
			return true
		}
		seen[k.GVK] = true
		return false
	})
}

func listKind(gvk schema.GroupVersionKind) schema.GroupVersionKind {
	gvk.Kind += "List"
	return gvk
}

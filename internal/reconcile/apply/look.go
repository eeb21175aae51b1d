// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// sight is what is known of an object from its metadata.
type sight struct {
	found, deleting bool
	// pending: this is our own last write, which the cache has not shown yet.
	pending bool
	uid     types.UID
	version string
	entry   string
	labels  map[string]string
}

// ours says that the object belongs to the pipeline with the inventory labels
// owner: it carries them and the operator has applied it; or the operator has just
// written it; or it is the very object that is remembered, from which somebody took
// the labels.
func (s sight) ours(owner map[string]string, before v1alpha1.ChildStatus) bool {
	return s.pending || s.uid != "" && s.uid == before.UID || s.labelled(owner) && s.entry != ""
}

// as says that the object is as remembered and nothing new is wanted.
func (s sight) as(before v1alpha1.ChildStatus, digest string) bool {
	return s.uid == before.UID && s.entry == before.Entry && digest == before.Applied
}

func (s sight) labelled(owner map[string]string) bool {
	for k, v := range owner {
		if s.labels[k] != v {
			return false
		}
	}
	return true
}

// look answers from the cache, or from our own last write where the cache is
// older than that.
func (e *Engine) look(ctx context.Context, o *unstructured.Unstructured) (sight, error) {
	wrote, pending := e.recall(o)
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(o.GroupVersionKind())
	err := e.cache.Get(ctx, client.ObjectKeyFromObject(o), m)
	notCached := (*cache.ErrResourceNotCached)(nil)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err), errors.As(err, &notCached):
		if pending {
			return sight{found: true, pending: true, uid: wrote.uid, entry: wrote.entry}, nil
		}
		return sight{}, nil
	case err != nil:
		return sight{}, fmt.Errorf("look at the cache: %w", err)
	}
	s := sightOf(m)
	s.entry = m.Annotations[annotationEntry]
	switch {
	case !pending || wrote.uid != m.UID:
	case newer(wrote.version, m.ResourceVersion):
		s.entry, s.pending = wrote.entry, true
	default:
		// A write that changed nothing has no event that would free it.
		e.forgetWrite(o)
	}
	return s, nil
}

// ask answers from the API server, by metadata alone.
func (e *Engine) ask(ctx context.Context, o *unstructured.Unstructured) (sight, error) {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(o.GroupVersionKind())
	err := e.live.Get(ctx, client.ObjectKeyFromObject(o), m)
	if apierrors.IsNotFound(err) {
		return sight{}, nil
	}
	if err != nil {
		return sight{}, fmt.Errorf("look whether the name is free: %w", err)
	}
	s := sightOf(m)
	s.entry = entryOf(m.ManagedFields)
	return s, nil
}

func sightOf(m *metav1.PartialObjectMetadata) sight {
	return sight{found: true, deleting: m.DeletionTimestamp != nil, uid: m.UID, version: m.ResourceVersion, labels: m.Labels}
}

// takeOff notes that a write is under way, so that Seen can tell what the cache
// has shown before the answer is here.
func (e *Engine) takeOff(o *unstructured.Unstructured) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wrote[keyOf(o)] = written{flying: true}
}

// land remembers the answer to a write, unless the cache has shown it already.
func (e *Engine) land(o *unstructured.Unstructured, w written) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := keyOf(o)
	if seen := e.wrote[k].seen; seen != "" && !newer(w.version, seen) {
		delete(e.wrote, k)
		return
	}
	w.at = e.Clock.Now()
	e.wrote[k] = w
}

// forgetWrite forgets a write: it was not answered well, or the cache has shown it.
func (e *Engine) forgetWrite(o *unstructured.Unstructured) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.wrote, keyOf(o))
}

// recall answers with the last write, as long as the engine has patience.
func (e *Engine) recall(o *unstructured.Unstructured) (written, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w, ok := e.wrote[keyOf(o)]
	if ok && !w.flying && e.Clock.Since(w.at) >= Patience {
		delete(e.wrote, keyOf(o))
		return written{}, false
	}
	return w, ok && !w.flying
}

// Seen tells the engine that the cache holds o, or, with gone, that it has seen
// it go. It is called by the watch, after the cache was changed, and frees what
// was remembered until then.
func (e *Engine) Seen(o *metav1.PartialObjectMetadata, gone bool) {
	k := key{o.GroupVersionKind(), o.Namespace, o.Name}
	e.mu.Lock()
	defer e.mu.Unlock()
	w, ok := e.wrote[k]
	switch {
	case !ok:
	case w.flying:
		w.seen = o.ResourceVersion
		e.wrote[k] = w
	case gone && w.uid == o.UID, !newer(w.version, o.ResourceVersion):
		delete(e.wrote, k)
	}
}

func keyOf(o *unstructured.Unstructured) key {
	return key{o.GroupVersionKind(), o.GetNamespace(), o.GetName()}
}

// newer compares resource versions: comparable integers since Kubernetes 1.35.
// Where they are not, the cache is believed.
func newer(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x > y
}

// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Recorder records a namespace while things happen in it.
type Recorder struct {
	client    client.Client
	namespace string

	mu      sync.Mutex
	events  []Event
	teller  *Teller
	counts  map[subject]int
	changed chan struct{} // Closed, and replaced, at each event.
}

type subject struct {
	kind Kind
	name string
}

// Record begins with what is there and records until the context ends.
func Record(ctx context.Context, c client.WithWatch, namespace string) (*Recorder, error) {
	r := &Recorder{client: c, namespace: namespace, teller: NewTeller(), counts: map[subject]int{}, changed: make(chan struct{})}
	for _, list := range lists() {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list what is to be recorded: %w", err)
		}
		for _, o := range objects(list) {
			r.note(o, false)
		}
		w, err := c.Watch(ctx, list, &client.ListOptions{Namespace: namespace,
			Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}})
		if err != nil {
			return nil, fmt.Errorf("watch what is to be recorded: %w", err)
		}
		go func() {
			for e := range w.ResultChan() {
				if e.Type != watch.Bookmark && e.Type != watch.Error {
					r.note(e.Object, e.Type == watch.Deleted)
				}
			}
		}()
	}
	return r, nil
}

func (r *Recorder) note(o runtime.Object, deleted bool) {
	e := eventOf(o, deleted)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if m, ok := r.teller.Next(e); ok {
		r.counts[subject{m.Kind, m.Subject}]++
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// eventOf is an event of an object of the kinds that are recorded.
func eventOf(o runtime.Object, deleted bool) Event {
	e := Event{Deleted: deleted}
	switch o := o.(type) {
	case *sparkapi.SparkApplication:
		e.Application = o
	case *corev1.Pod:
		e.Pod = o
	case *appsv1.StatefulSet:
		e.Set = o
	}
	return e
}

// Moments are what happened so far, in order.
func (r *Recorder) Moments() []Moment {
	r.mu.Lock()
	events := slices.Clone(r.events)
	r.mu.Unlock()
	return Tell(events)
}

// Count is how many moments there were of one object.
func (r *Recorder) Count(kind Kind, of string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[subject{kind, of}]
}

// Subject is the number of an object, once it was seen.
func (r *Recorder) Subject(uid types.UID) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.teller.Subject(uid)
}

// Until returns when a condition holds. It looks at each event.
func (r *Recorder) Until(ctx context.Context, holds func() bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// CatchUp returns when all that happened until now was recorded.
func (r *Recorder) CatchUp(ctx context.Context) error {
	now := map[types.UID]int64{}
	var begin int64
	for _, list := range lists() {
		if err := r.client.List(ctx, list, client.InNamespace(r.namespace)); err != nil {
			return fmt.Errorf("list what should have been recorded: %w", err)
		}
		if n, err := strconv.ParseInt(list.GetResourceVersion(), 10, 64); err == nil && begin == 0 {
			begin = n
		}
		for _, o := range objects(list) {
			e := eventOf(o, false)
			now[e.object().GetUID()] = e.revision()
		}
	}
	return r.Until(ctx, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		last := map[types.UID]Event{}
		for _, e := range r.events {
			last[e.object().GetUID()] = e
		}
		for uid, revision := range now {
			if e, ok := last[uid]; !ok || e.revision() < revision {
				return false
			}
		}
		for uid, e := range last {
			if _, ok := now[uid]; !ok && !e.Deleted && e.revision() <= begin {
				return false
			}
		}
		return true
	})
}

func lists() []client.ObjectList {
	return []client.ObjectList{&sparkapi.SparkApplicationList{}, &appsv1.StatefulSetList{}, &corev1.PodList{}}
}

func objects(list client.ObjectList) []runtime.Object {
	var all []runtime.Object
	switch l := list.(type) {
	case *sparkapi.SparkApplicationList:
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
	case *appsv1.StatefulSetList:
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
	case *corev1.PodList:
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
	}
	return all
}

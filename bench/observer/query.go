// SPDX-License-Identifier: Apache-2.0

package observer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Await looks again and again until look has no complaint, at most for the given
// time. look runs with the observer held still.
func (o *Observer) Await(ctx context.Context, within time.Duration, what string, look func(View) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := o.View(look)
		if err == nil {
			return nil
		}
		if o.err() != nil {
			return o.err()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, within, err)
		case <-tick.C:
		}
	}
}

func (o *Observer) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken
}

// View runs look with the observer held still.
func (o *Observer) View(look func(View) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	return look(View{o})
}

// View is the observer held still.
type View struct{ o *Observer }

// Pipeline returns what is known of a SparkPipeline; nil when there is none.
func (v View) Pipeline(key types.NamespacedName) *Pipeline { return v.o.pipelines[key] }

// Pipelines is how many SparkPipelines there are.
func (v View) Pipelines() int { return len(v.o.pipelines) }

// Children is how many objects carry the labels of a pipeline.
func (v View) Children(key types.NamespacedName) int { return v.o.children[key] }

// Object returns the last change of an object that exists.
func (v View) Object(k Key) (Change, bool) {
	c, ok := v.o.live[k]
	return c, ok
}

// Of lists the objects that carry the labels of a pipeline, in a steady order.
func (v View) Of(key types.NamespacedName) []Change {
	var out []Change
	for _, c := range v.o.live {
		if c.Pipeline == key {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}

// In counts the objects whose namespace begins with a prefix.
func (v View) In(prefix string) int {
	n := 0
	for k := range v.o.live {
		if strings.HasPrefix(k.Namespace, prefix) {
			n++
		}
	}
	return n
}

// Versions are the resource versions of all objects with labels of a pipeline.
func (v View) Versions() map[Key]string {
	out := map[Key]string{}
	for k, c := range v.o.live {
		if c.Pipeline.Name != "" {
			out[k] = c.Version
		}
	}
	return out
}

// Changes lists the changes of an object in the history, from a place in it on.
func (v View) Changes(k Key, from int) []Change {
	var out []Change
	for _, c := range v.o.history[min(from, len(v.o.history)):] {
		if c.Key == k {
			out = append(out, c)
		}
	}
	return out
}

// Record begins a new history of changes.
func (o *Observer) Record() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recording, o.history = true, nil
}

// Place is the end of the history so far.
func (o *Observer) Place() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.history)
}

// History returns the changes since Record, in the order of their arrival.
func (o *Observer) History() []Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.history)
}

// AwaitSettled waits until every pipeline says that it is applied in full and all
// the children that it lists, and its application, were seen.
func (o *Observer) AwaitSettled(ctx context.Context, within time.Duration, keys []types.NamespacedName) error {
	left := map[types.NamespacedName]bool{}
	for _, k := range keys {
		left[k] = true
	}
	return o.Await(ctx, within, "every pipeline is applied in full", func(v View) error {
		for k := range left {
			if p := v.Pipeline(k); p != nil && !p.Settled.IsZero() && v.Children(k) == p.Children+1 {
				delete(left, k)
			}
		}
		return some(left, "are not")
	})
}

// AwaitReady waits until every pipeline is Ready.
func (o *Observer) AwaitReady(ctx context.Context, within time.Duration, keys []types.NamespacedName) error {
	return o.Await(ctx, within, "every pipeline is Ready", func(v View) error {
		left := map[types.NamespacedName]bool{}
		for _, k := range keys {
			if p := v.Pipeline(k); p == nil || p.Ready.IsZero() {
				left[k] = true
			}
		}
		return some(left, "are not")
	})
}

func some(left map[types.NamespacedName]bool, are string) error {
	if len(left) == 0 {
		return nil
	}
	first := slices.SortedFunc(maps.Keys(left), func(a, b types.NamespacedName) int {
		return strings.Compare(a.String(), b.String())
	})[0]
	return errors.New(fmt.Sprint(len(left), " ", are, ", such as ", first))
}

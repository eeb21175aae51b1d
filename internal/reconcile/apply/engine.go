// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// FieldManager is the name under which the operator writes.
const FieldManager = "sparkpipeline"

// sideBySide bounds the requests of a wave that are under way at once. An API
// server on a small machine is saturated by eight.
const sideBySide = 8

// Kind is a kind of children.
type Kind struct {
	GVK schema.GroupVersionKind
	// Wave in which children of the kind are applied; deletion runs the waves
	// backwards.
	Wave int
	// Durable kinds hold data and are pruned by nobody.
	Durable bool
	// Once kinds are posted and never read.
	Once bool
}

// Item is one child to have.
type Item struct {
	// Object is the payload, exactly as it is sent.
	Object *unstructured.Unstructured
	// Wave: the items of a wave go out side by side, after all waves before it.
	// A wave in which an item failed is the last one that goes out.
	Wave int
	// Durable items hold data: one that was there once is never made again.
	Durable bool
	// Once items are posted one time and neither read nor applied.
	Once bool
	// Missing items are of an API that is known not to be installed. They are left
	// out without a request; discovery would be asked with each pass otherwise.
	Missing bool
	// Adopt takes over an object that carries the inventory labels although the
	// operator has never applied it: somebody put it there for the pipeline.
	Adopt bool
	// Fill completes the payload of a Once item right before it is posted.
	Fill func(*unstructured.Unstructured) error
}

// Outcome is what became of an item.
type Outcome string

// Outcomes.
const (
	// Unchanged: nothing was touched and nothing new is wanted; no request.
	Unchanged Outcome = "Unchanged"
	// Created: it was absent and is there.
	Created Outcome = "Created"
	// Applied: it was touched or something new is wanted, and it is as wanted.
	Applied Outcome = "Applied"
	// Missing: its API is not installed.
	Missing Outcome = "Missing"
	// Lost: it holds data, was there once and is gone.
	Lost Outcome = "Lost"
	// Terminating: somebody deleted it and it is not gone yet.
	Terminating Outcome = "Terminating"
	// Failed: see the error.
	Failed Outcome = "Failed"
	// Blocked: a wave before it failed, so it was not tried.
	Blocked Outcome = "Blocked"
)

// Result is what became of one item.
type Result struct {
	Outcome Outcome
	// Memory is what to remember of the child; Before is what was remembered.
	Memory, Before v1alpha1.ChildStatus
	// Pending says that the caches have not shown the child yet, or that it was
	// repaired so often that it has to wait: look again after Patience.
	Pending bool
	Err     error
}

// NotOwnedError says that an object of a child's name exists and is not ours.
type NotOwnedError struct {
	// Object is its kind, namespace and name.
	Object string
}

func (e *NotOwnedError) Error() string {
	return e.Object + " exists and does not belong to this SparkPipeline; rename one of the two, or delete the object if nobody needs it"
}

// Engine applies and removes children. It is safe for use by several workers, on
// different pipelines.
type Engine struct {
	client client.Client
	cache  client.Reader
	live   client.Reader

	// Clock tells how long the cache has not shown a write.
	Clock clock.PassiveClock

	mu      sync.Mutex
	wrote   map[key]written
	repairs map[key]pace
	sweepAt int
}

// Patience is how long the engine believes its own write although the cache does
// not show it. Then it believes what it sees, and asks: an event can be lost for
// good where a watch broke between two of them.
const Patience = 10 * time.Second

type key struct {
	gvk             schema.GroupVersionKind
	namespace, name string
}

// written is the operator's last write to an object, until the cache shows it.
type written struct {
	uid     types.UID
	version string
	entry   string
	at      time.Time
	// flying: the answer is not here yet. seen is the version that the cache has
	// shown meanwhile, for it can be faster than the answer.
	flying bool
	seen   string
}

// NewEngine returns an engine that writes with c, reads metadata from cache, and
// asks live what no cache may decide.
func NewEngine(c client.Client, cache, live client.Reader) *Engine {
	return &Engine{client: c, cache: cache, live: live, Clock: clock.RealClock{}, wrote: map[key]written{}, repairs: map[key]pace{}}
}

// Apply makes every item so, wave by wave. owner are the inventory labels of the
// pipeline, memory is what its status remembers. There is a result for each item,
// in their order; the error joins those of all that failed.
func (e *Engine) Apply(ctx context.Context, owner map[string]string, items []Item, memory []v1alpha1.ChildStatus) ([]Result, error) {
	known := make(map[string]v1alpha1.ChildStatus, len(memory))
	for _, m := range memory {
		known[m.Group+"|"+m.Kind+"|"+m.Namespace+"|"+m.Name] = m
	}
	results := make([]Result, len(items))
	waves := map[int][]int{}
	for i, item := range items {
		waves[item.Wave] = append(waves[item.Wave], i)
		fresh := identity(item.Object)
		results[i] = Result{Outcome: Blocked, Memory: fresh, Before: fresh}
		if m, ok := known[fresh.Group+"|"+fresh.Kind+"|"+fresh.Namespace+"|"+fresh.Name]; ok {
			results[i].Before = m
			m.Ready, m.Reason = false, ""
			results[i].Memory = m
		}
	}
	for _, wave := range slices.Sorted(func(yield func(int) bool) {
		for w := range waves {
			if !yield(w) {
				return
			}
		}
	}) {
		e.wave(ctx, owner, items, results, waves[wave])
		if err := failures(results); err != nil {
			return results, err
		}
	}
	return results, nil
}

func (e *Engine) wave(ctx context.Context, owner map[string]string, items []Item, results []Result, members []int) {
	slots := make(chan struct{}, sideBySide)
	var wg sync.WaitGroup
	for _, i := range members {
		// What needs no request is settled here, without a goroutine.
		next := e.decide(ctx, owner, items[i], &results[i])
		if next == nil {
			continue
		}
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			if err := next(); err != nil {
				results[i].Outcome = Failed
				results[i].Err = fmt.Errorf("apply %s: %w", describe(items[i].Object), err)
			}
		}()
	}
	wg.Wait()
}

func failures(results []Result) error {
	var errs []error
	for _, r := range results {
		errs = append(errs, r.Err)
	}
	return errors.Join(errs...)
}

// decide settles what can be settled from caches and answers with the requests
// that the rest takes, nil for none.
func (e *Engine) decide(ctx context.Context, owner map[string]string, item Item, r *Result) func() error {
	if item.Missing {
		r.Outcome = Missing
		return nil
	}
	digest := Digest(item.Object)
	if item.Once {
		if r.Before.Applied != "" {
			r.Outcome = Unchanged
			return nil
		}
		return func() error { return e.post(ctx, item, digest, r) }
	}
	seen, err := e.look(ctx, item.Object)
	if err != nil {
		return func() error { return err }
	}
	// Nothing new is wanted, so whatever is to be done is a repair.
	repair := r.Before.UID != "" && r.Before.Applied == digest
	switch {
	case !seen.found && repair && !item.Durable && !e.mayRepair(item.Object):
		r.Outcome, r.Pending = Unchanged, true
		return nil
	case !seen.found:
		return func() error { return e.absent(ctx, owner, item, digest, r) }
	case seen.deleting:
		r.Outcome = Terminating
		return nil
	case !seen.ours(owner, r.Before) && !(item.Adopt && seen.labelled(owner)):
		return func() error { return &NotOwnedError{Object: describe(item.Object)} }
	case seen.as(r.Before, digest):
		r.Outcome, r.Pending = Unchanged, seen.pending
		return nil
	case repair && !e.mayRepair(item.Object):
		r.Outcome, r.Pending = Unchanged, true
		return nil
	}
	return func() error { return e.apply(ctx, item, seen.uid, digest, r) }
}

// absent looks once, at the API server, whether a foreign object is in the way,
// and applies.
func (e *Engine) absent(ctx context.Context, owner map[string]string, item Item, digest string, r *Result) error {
	seen, err := e.ask(ctx, item.Object)
	switch {
	case meta.IsNoMatchError(err):
		r.Outcome = Missing
		return nil
	case err != nil:
		return err
	case seen.deleting:
		r.Outcome = Terminating
		return nil
	case seen.found && !seen.ours(owner, r.Before) && !(item.Adopt && seen.labelled(owner)):
		return &NotOwnedError{Object: describe(item.Object)}
	case seen.found && seen.as(r.Before, digest):
		// Only the cache does not know. Until it does, what was seen is believed.
		e.land(item.Object, written{uid: seen.uid, version: seen.version, entry: seen.entry})
		r.Outcome, r.Pending = Unchanged, true
		return nil
	case seen.found:
		return e.apply(ctx, item, seen.uid, digest, r)
	case item.Durable && r.Before.UID != "":
		r.Outcome = Lost
		return nil
	}
	return e.apply(ctx, item, "", digest, r)
}

// versionOfNothing is a resource version that no object has: etcd is at revision
// 1 before its first write. An apply with it creates what is absent and is refused
// with a conflict where an object has come between our look and our write; an
// apply without any version would take that object over.
const versionOfNothing = "1"

// apply sends the payload. With a UID it heals the object that was seen and can
// never make another one; without it makes one, and never writes to one that is
// there.
func (e *Engine) apply(ctx context.Context, item Item, uid types.UID, digest string, r *Result) error {
	live := item.Object.DeepCopy()
	live.SetUID(uid)
	if uid == "" {
		live.SetResourceVersion(versionOfNothing)
	}
	e.takeOff(item.Object)
	err := e.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(live), client.FieldOwner(FieldManager), client.ForceOwnership)
	if err != nil {
		e.forgetWrite(item.Object)
		e.repairFailed(item.Object)
	}
	if meta.IsNoMatchError(err) {
		r.Outcome = Missing
		return nil
	}
	if err != nil {
		return err
	}
	entry := entryOf(live.GetManagedFields())
	e.land(item.Object, written{uid: live.GetUID(), version: live.GetResourceVersion(), entry: entry})
	r.Outcome, r.Pending = Applied, true
	if uid == "" {
		r.Outcome = Created
	}
	r.Memory.UID, r.Memory.Applied, r.Memory.Entry = live.GetUID(), digest, entry
	return nil
}

// post creates a Once item. One that exists is taken as it is: it may not be read.
func (e *Engine) post(ctx context.Context, item Item, digest string, r *Result) error {
	live := item.Object.DeepCopy()
	if item.Fill != nil {
		if err := item.Fill(live); err != nil {
			return err
		}
	}
	err := e.client.Create(ctx, live, client.FieldOwner(FieldManager))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	// Of one that was there the UID is unknown, so it is remembered of none: what a
	// lost answer leaves is not to differ from what an answer does.
	r.Outcome, r.Memory.Applied = Created, digest
	return nil
}

func identity(o *unstructured.Unstructured) v1alpha1.ChildStatus {
	gvk := o.GroupVersionKind()
	return v1alpha1.ChildStatus{Group: gvk.Group, Kind: gvk.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

func describe(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

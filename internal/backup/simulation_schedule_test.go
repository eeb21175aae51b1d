// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

var errCrash = errors.New("the process died")

// requestTimeout bounds how late a request can still have its effect. A real
// client has such a bound too.
const requestTimeout = 10 * time.Minute

// verdict is what the scheduler lets an operation do.
type verdict int

const (
	proceed verdict = iota
	crashBefore
	crashAfter
	// freeze stops the process before the operation, for as long as the
	// scheduler likes.
	freeze
)

// request is an operation that waits for its turn.
type request struct {
	actor     int
	name, key string
	turn      chan verdict
}

// schedule decides alone who goes on, so that one seed is one interleaving.
type schedule struct {
	mu      sync.Mutex
	waiting []*request
}

// next takes one of the waiting operations out, the same for the same seed.
func (s *schedule) next(rng *rand.Rand) *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	slices.SortFunc(s.waiting, func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.actor, b.actor), cmp.Compare(a.name, b.name), cmp.Compare(a.key, b.key))
	})
	i := rng.IntN(len(s.waiting))
	taken := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return taken
}

func (s *schedule) drop(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *request) bool { return other == r })
}

// actor is one process: its operations wait for the scheduler, and after its
// crash none has an effect.
type actor struct {
	id       int
	schedule *schedule
	store    *objectstoretest.Memory
	mu       sync.Mutex
	dead     bool
}

// turn waits for the scheduler. effect tells whether the operation happens, err
// whether the process hears of it.
func (a *actor) turn(ctx context.Context, name, key string) (effect bool, err error) {
	v, err := a.await(ctx, name, key, requestTimeout)
	if v == freeze && err == nil {
		if v, err = a.await(context.Background(), "Thaw", key, 0); err == nil {
			err = ctx.Err() // timers that passed meanwhile fire first
		}
	}
	switch {
	case err != nil:
		return false, err
	case a.isDead():
		return false, errCrash
	case v == crashBefore || v == crashAfter:
		a.kill()
		return v == crashAfter, errCrash
	}
	return true, nil
}

// await waits for a turn, for ever when timeout is 0.
func (a *actor) await(ctx context.Context, name, key string, timeout time.Duration) (verdict, error) {
	if a.isDead() {
		return crashBefore, errCrash
	}
	r := &request{a.id, name, key, make(chan verdict, 1)}
	a.schedule.mu.Lock()
	a.schedule.waiting = append(a.schedule.waiting, r)
	a.schedule.mu.Unlock()
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case v := <-r.turn:
		return v, nil
	case <-late:
		a.schedule.drop(r)
		return crashBefore, &objectstore.Error{Kind: objectstore.KindNetwork, Err: errors.New("timeout")}
	case <-ctx.Done():
		a.schedule.drop(r)
		return crashBefore, ctx.Err()
	}
}

func (a *actor) kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = true
}

func (a *actor) isDead() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dead
}

var _ objectstore.Store = (*actor)(nil)

func (a *actor) Put(ctx context.Context, key string, body io.ReaderAt, size int64, opts objectstore.PutOptions) (info objectstore.Info, err error) {
	effect, crashed := a.turn(ctx, "Put", key)
	if effect {
		info, err = a.store.Put(ctx, key, body, size, opts)
	}
	return info, errors.Join(crashed, err)
}

func (a *actor) Get(ctx context.Context, key string, part objectstore.Range) (io.ReadCloser, objectstore.Info, error) {
	if _, err := a.turn(ctx, "Get", key); err != nil {
		return nil, objectstore.Info{}, err
	}
	return a.store.Get(ctx, key, part)
}

func (a *actor) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if _, err := a.turn(ctx, "Head", key); err != nil {
		return objectstore.Info{}, err
	}
	return a.store.Head(ctx, key)
}

func (a *actor) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		if _, err := a.turn(ctx, "List", prefix); err != nil {
			yield(objectstore.Info{}, err)
			return
		}
		for info, err := range a.store.List(ctx, prefix) {
			if !yield(info, err) {
				return
			}
		}
	}
}

func (a *actor) Folders(ctx context.Context, prefix string) ([]string, error) {
	if _, err := a.turn(ctx, "List", prefix); err != nil {
		return nil, err
	}
	return a.store.Folders(ctx, prefix)
}

// Delete lets every key wait for its own turn, so that a crash can come in the
// middle of a batch.
func (a *actor) Delete(ctx context.Context, keys []string) error {
	for _, key := range keys {
		effect, crashed := a.turn(ctx, "Delete", key)
		var err error
		if effect {
			err = a.store.Delete(ctx, []string{key})
		}
		if err := errors.Join(crashed, err); err != nil {
			return err
		}
	}
	return nil
}

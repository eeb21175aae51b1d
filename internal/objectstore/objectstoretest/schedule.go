// SPDX-License-Identifier: Apache-2.0

package objectstoretest

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
)

// ErrCrash is what a process sees of its own end.
var ErrCrash = errors.New("the process died")

// requestTimeout bounds how late a request can still have its effect. A real
// client has such a bound too.
const requestTimeout = 10 * time.Minute

// Verdict is what the scheduler lets an operation do.
type Verdict int

// Verdicts.
const (
	Proceed Verdict = iota
	// CrashBefore and CrashAfter end the process; the operation has its effect in
	// the second case.
	CrashBefore
	CrashAfter
	// Freeze stops the process before the operation, for as long as the
	// scheduler likes.
	Freeze
)

// Request is an operation that waits for its turn.
type Request struct {
	process   int
	Name, Key string
	turn      chan Verdict
}

// Grant ends the waiting.
func (r *Request) Grant(v Verdict) { r.turn <- v }

// Schedule decides alone who goes on, so that one seed is one interleaving of
// processes in a synctest bubble.
type Schedule struct {
	mu      sync.Mutex
	waiting []*Request
}

// Next takes one of the waiting operations out, the same for the same seed.
func (s *Schedule) Next(rng *rand.Rand) *Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	slices.SortFunc(s.waiting, func(a, b *Request) int {
		return cmp.Or(cmp.Compare(a.process, b.process), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	i := rng.IntN(len(s.waiting))
	taken := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return taken
}

func (s *Schedule) drop(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *Request) bool { return other == r })
}

// Process is one user of a store: its operations wait for the scheduler, and after
// its crash none has an effect.
type Process struct {
	id       int
	schedule *Schedule
	store    *Memory
	mu       sync.Mutex
	dead     bool
}

// NewProcess makes a process whose number is not that of another one.
func NewProcess(number int, schedule *Schedule, store *Memory) *Process {
	return &Process{id: number, schedule: schedule, store: store}
}

// Turn waits for the scheduler. effect tells whether the operation happens, err
// whether the process hears of it.
func (a *Process) Turn(ctx context.Context, name, key string) (effect bool, err error) {
	v, err := a.await(ctx, name, key, requestTimeout)
	if v == Freeze && err == nil {
		if v, err = a.await(context.Background(), "Thaw", key, 0); err == nil {
			err = ctx.Err() // timers that passed meanwhile fire first
		}
	}
	switch {
	case err != nil:
		return false, err
	case a.isDead():
		return false, ErrCrash
	case v == CrashBefore || v == CrashAfter:
		a.Kill()
		return v == CrashAfter, ErrCrash
	}
	return true, nil
}

// await waits for a turn, for ever when timeout is 0.
func (a *Process) await(ctx context.Context, name, key string, timeout time.Duration) (Verdict, error) {
	if a.isDead() {
		return CrashBefore, ErrCrash
	}
	r := &Request{a.id, name, key, make(chan Verdict, 1)}
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
		return CrashBefore, &objectstore.Error{Kind: objectstore.KindNetwork, Err: errors.New("timeout")}
	case <-ctx.Done():
		a.schedule.drop(r)
		return CrashBefore, ctx.Err()
	}
}

func (a *Process) Kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = true
}

func (a *Process) isDead() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dead
}

var _ objectstore.Store = (*Process)(nil)

func (a *Process) Put(ctx context.Context, key string, body io.ReaderAt, size int64, opts objectstore.PutOptions) (info objectstore.Info, err error) {
	effect, crashed := a.Turn(ctx, "Put", key)
	if effect {
		info, err = a.store.Put(ctx, key, body, size, opts)
	}
	return info, errors.Join(crashed, err)
}

func (a *Process) Get(ctx context.Context, key string, part objectstore.Range) (io.ReadCloser, objectstore.Info, error) {
	if _, err := a.Turn(ctx, "Get", key); err != nil {
		return nil, objectstore.Info{}, err
	}
	return a.store.Get(ctx, key, part)
}

func (a *Process) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if _, err := a.Turn(ctx, "Head", key); err != nil {
		return objectstore.Info{}, err
	}
	return a.store.Head(ctx, key)
}

func (a *Process) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		if _, err := a.Turn(ctx, "List", prefix); err != nil {
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

func (a *Process) Folders(ctx context.Context, prefix string) ([]string, error) {
	if _, err := a.Turn(ctx, "List", prefix); err != nil {
		return nil, err
	}
	return a.store.Folders(ctx, prefix)
}

// Delete lets every key wait for its own turn, so that a crash can come in the
// middle of a batch.
func (a *Process) Delete(ctx context.Context, keys []string) error {
	for _, key := range keys {
		effect, crashed := a.Turn(ctx, "Delete", key)
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

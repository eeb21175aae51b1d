// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Backoff bounds the attempts of one call.
type Backoff struct {
	// Attempts in all, at least 1.
	Attempts int
	// First is the longest wait before the second attempt; it doubles with each
	// attempt up to Longest. Waits are drawn at random below these bounds, so
	// that many clients that were throttled together do not come back together.
	First, Longest time.Duration
}

// DefaultBackoff keeps trying for about a minute and a half: longer than a
// store's leader election or a node's failover, shorter than a deadline of a
// backup.
func DefaultBackoff() Backoff {
	return Backoff{Attempts: 9, First: 250 * time.Millisecond, Longest: 20 * time.Second}
}

// errEnded marks failures that came from the caller's context and not from the
// store, which looks the same when a deadline passes.
var errEnded = errors.New("gave up because the caller's time was over")

// do calls attempt until it succeeds, fails for good, or the context ends.
func (b Backoff) do(ctx context.Context, attempt func() error) error {
	bound := b.First
	for n := 1; ; n++ {
		err := attempt()
		if err == nil {
			return nil
		}
		if ended := ctx.Err(); ended != nil {
			return errors.Join(errEnded, ended, err)
		}
		if n >= b.Attempts || !classify(err).passes() {
			return err
		}
		if !sleep(ctx, wait(bound)) {
			return errors.Join(errEnded, ctx.Err(), err)
		}
		bound = min(2*bound, b.Longest)
	}
}

func wait(bound time.Duration) time.Duration {
	if bound <= 0 {
		return 0
	}
	return bound/2 + rand.N(bound/2+1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/checkpoint/checkpointtest"
	"sparkpipeline.dev/operator/internal/guard"
)

var errCrash = errors.New("crash")

// crashing dies before its n-th change and makes none after. steps counts them.
func crashing(n int, steps *int) func(string) error {
	return func(string) error {
		if *steps++; *steps > n {
			return errCrash
		}
		return nil
	}
}

// placeWith is a checkpoint with one root of real Spark, which a guard has passed.
func placeWith(t *testing.T, fixture string, seen int64) (place, root string) {
	t.Helper()
	place = t.TempDir()
	root = filepath.Join(place, "orders", "agg")
	copyTree(t, checkpointtest.Unpack(t, fixture), root)
	data, err := json.Marshal(guard.Owner{FormatVersion: 1, Namespace: "data", Name: "orders", UID: "u1", Roots: map[string]int64{"orders/agg": seen}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, place, guard.OwnerName, string(data))
	return place, root
}

// pass lets the guard judge a checkpoint of which the operator has seen a batch.
func pass(t *testing.T, place string, seen int64) error {
	t.Helper()
	at, err := guard.OpenDirPlace(place)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	g := guard.Guard{Place: at, Now: time.Now, Sleep: func(context.Context, time.Duration) error { return nil }, Queries: []string{"orders/agg"},
		Orders: config.Orders{Pipeline: config.Identity{Namespace: "data", Name: "orders", UID: "u1"}, Roots: map[string]int64{"orders/agg": seen}}}
	_, err = g.Run(t.Context())
	return err
}

func reason(err error) guard.Reason {
	if refusal, ok := errors.AsType[*guard.Refusal](err); ok {
		return refusal.Reason
	}
	if err != nil {
		return guard.Reason(err.Error())
	}
	return ""
}

// A rewind that dies before any of its changes is completed by another run, with the
// same result as one that was left alone. In between no guard lets a driver start.
func TestCrashAnywhereIsCompletedByAnotherRun(t *testing.T) {
	for _, test := range []struct {
		fixture     string
		from, to    int64
		least, most int // steps
	}{
		{"hdfs-41", lastOf(t, "hdfs-41"), 3, 50, 1000},
		{"rocksdb-killed-41", lastOf(t, "rocksdb-killed-41"), 1, 30, 1000},
	} {
		t.Run(test.fixture, func(t *testing.T) {
			place, _ := placeWith(t, test.fixture, test.from)
			whole := t.TempDir()
			copyTree(t, place, whole)
			steps := 0
			undisturbed := rewindOf(filepath.Join(whole, "orders/agg"), test.to)
			undisturbed.before = crashing(1<<30, &steps)
			run(t, undisturbed)
			if steps < test.least || steps > test.most {
				t.Fatalf("a rewind has %d steps", steps)
			}
			want := tree(t, whole)
			between := map[guard.Reason]int{}
			for n := range steps {
				again := t.TempDir()
				copyTree(t, place, again)
				r, done := rewindOf(filepath.Join(again, "orders/agg"), test.to), 0
				r.Level = checkpoint.LevelStructure // Levels above read what no step changes.
				r.before = crashing(n, &done)
				if _, err := r.Run(t.Context()); !errors.Is(err, errCrash) {
					t.Fatalf("step %d: %v", n, err)
				}
				between[judgeBetween(t, n, again, test.from)]++
				r.before = nil
				if _, err := r.Run(t.Context()); err != nil {
					t.Fatalf("step %d: another run: %v", n, err)
				}
				sameTree(t, "another run", tree(t, again), want)
				if err := pass(t, again, test.from); err != nil {
					t.Errorf("step %d: the guard: %v", n, err)
				}
				if t.Failed() {
					t.Fatalf("after a crash before step %d", n)
				}
			}
			t.Logf("%d steps; the guard in between: %v", steps, between)
			if between[guard.Unfinished] < test.least/2 {
				t.Errorf("the guard refused %v in between", between)
			}
		})
	}
}

// judgeBetween holds the guard against a root that a crash left: it lets a driver start
// on one that was not touched, or one that is complete, and on no other.
func judgeBetween(t *testing.T, n int, place string, from int64) guard.Reason {
	t.Helper()
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(place, "orders/agg", name))
		return err == nil
	}
	marked, locked := there(guard.RewindName), there(guard.LockName)
	if !marked && !locked {
		at := t.TempDir() // A guard that lets a driver start writes.
		copyTree(t, place, at)
		place = at
	}
	got := reason(pass(t, place, from))
	switch {
	case marked && got != guard.Unfinished:
		t.Errorf("step %d: the guard says %q of a root that is marked", n, got)
	case !marked && locked && got != guard.Locked:
		t.Errorf("step %d: the guard says %q of a root that is locked", n, got)
	case !marked && !locked && got != "":
		t.Errorf("step %d: the guard says %q", n, got)
	}
	return got
}

// The same for a copy.
func TestCopyThatCrashedIsCompletedByAnotherRun(t *testing.T) {
	source := checkpointtest.Unpack(t, "tws-43")
	copyOf := func(to string) *Rewind {
		r := rewindOf(source, 3)
		r.Level = checkpoint.LevelStructure
		r.CopyTo, r.As = to, "/checkpoint/agg"
		return r
	}
	whole, steps := filepath.Join(t.TempDir(), "agg"), 0
	undisturbed := copyOf(whole)
	undisturbed.before = crashing(1<<30, &steps)
	if result := run(t, undisturbed); len(result.Rewritten) == 0 || steps < 40 {
		t.Fatalf("%+v in %d steps", result, steps)
	}
	want, original := tree(t, whole), tree(t, source)
	for n := range steps {
		to := filepath.Join(t.TempDir(), "agg")
		r, done := copyOf(to), 0
		r.before = crashing(n, &done)
		if _, err := r.Run(t.Context()); !errors.Is(err, errCrash) {
			t.Fatalf("step %d: %v", n, err)
		}
		r.before = nil
		if _, err := r.Run(t.Context()); err != nil {
			t.Fatalf("step %d: another run: %v", n, err)
		}
		sameTree(t, "another run", tree(t, to), want)
		if t.Failed() {
			t.Fatalf("after a crash before step %d", n)
		}
	}
	sameTree(t, "the source", tree(t, source), original)
}

func lastOf(t *testing.T, name string) int64 {
	t.Helper()
	return cases(t)[name].LastCommit
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint/checkpointtest"
	"sparkpipeline.dev/operator/internal/guard"
)

// What is refused says why, and leaves everything as it was.
func TestRefusals(t *testing.T) {
	remove := func(name string) func(t *testing.T, place, root string, r *Rewind) {
		return func(t *testing.T, _, root string, _ *Rewind) {
			t.Helper()
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, place, root string, r *Rewind)
		want   error
		says   string
	}{
		"a change of state is missing": {remove("state/0/1/3.delta"), ErrNotRestorable, "state/0/1/3.delta"},
		"the offsets before are gone":  {remove("offsets/2"), ErrNotRestorable, "offsets/2"},
		"a commit is gone":             {remove("commits/3"), ErrNotRestorable, "batch 3 is not committed in it; committed are 0 to 5"},
		"a batch that never was":       {func(_ *testing.T, _, _ string, r *Rewind) { r.Batch = 77 }, ErrNotRestorable, "batch 77 is not committed"},
		"metadata is gone":             {remove("metadata"), ErrNotRestorable, "metadata"},
		"a change of state is not whole": {func(t *testing.T, _, root string, _ *Rewind) {
			put(t, root, "state/0/1/3.delta.copy", "")
			if err := errors.Join(os.Remove(filepath.Join(root, "state/0/1/3.delta.copy")), os.Remove(filepath.Join(root, "state/0/1/3.delta"))); err != nil {
				t.Fatal(err)
			}
			put(t, root, "state/0/1/3.delta", "garbage")
		}, ErrNotRestorable, "state/0/1/3.delta"},
		"a link": {func(t *testing.T, _, root string, _ *Rewind) {
			if err := os.Symlink("5", filepath.Join(root, "offsets/6")); err != nil {
				t.Fatal(err)
			}
		}, ErrNotRestorable, "offsets/6 is a link"},
		"a person's lock": {func(t *testing.T, _, root string, _ *Rewind) { put(t, root, guard.LockName, "") }, ErrLocked, "remove the file if nobody works"},
		"a restore's lock": {func(t *testing.T, _, root string, _ *Rewind) {
			put(t, root, guard.LockName, `{"by":"agent restore","since":"yesterday"}`)
		}, ErrLocked, "(agent restore, since yesterday)"},
		"the place is locked": {func(t *testing.T, place, _ string, _ *Rewind) { put(t, place, guard.LockName, "") }, ErrLocked, guard.LockName},
		"another run works":   {held, ErrLocked, "another run works on it"},
		"a restore unfinished": {func(t *testing.T, place, _ string, _ *Rewind) {
			put(t, place, backup.RestoreRecordName, `{"formatVersion":1,"state":"Incomplete","point":"p1"}`)
		}, ErrUnfinished, "a restore of p1"},
		"another batch begun": {func(t *testing.T, _, root string, _ *Rewind) {
			put(t, root, guard.RewindName, `{"formatVersion":1,"id":"x","batch":2,"from":5,"trash":".sparkpipeline-trash/1"}`)
		}, ErrUnfinished, "a rewind to batch 2 has begun, and batch 3 is asked for"},
		"a copy begun": {func(t *testing.T, _, root string, _ *Rewind) {
			put(t, root, guard.RewindName, `{"formatVersion":1,"id":"x","batch":3,"from":5,"source":"/a"}`)
		}, ErrUnfinished, "it is a copy of batch 3 of /a"},
		"a record that leads out": {func(t *testing.T, _, root string, _ *Rewind) {
			put(t, root, guard.RewindName, `{"formatVersion":1,"id":"x","batch":3,"from":5,"trash":".sparkpipeline-trash/../../x"}`)
		}, ErrUnfinished, "allowed is a directory in .sparkpipeline-trash"},
		"a record of a later version": {func(t *testing.T, _, root string, _ *Rewind) { put(t, root, guard.RewindName, `{"formatVersion":9}`) }, ErrUnfinished, "format 9"},
		"an older copy": {func(t *testing.T, place, _ string, _ *Rewind) {
			put(t, place, guard.OwnerName, `{"formatVersion":1,"namespace":"data","name":"orders","roots":{"orders/agg":9}}`)
		}, ErrOlder, "its newest committed batch is 5, though batch 9 was committed"},
		"another pipeline's":        {func(_ *testing.T, _, _ string, r *Rewind) { r.Owner = &Owner{"data", "clicks"} }, ErrOtherOwner, "data/orders"},
		"an owner that is not read": {func(t *testing.T, place, _ string, _ *Rewind) { put(t, place, guard.OwnerName, "{") }, ErrOtherOwner, "cannot be read"},
		"something is written": {func(t *testing.T, _, root string, r *Rewind) {
			r.Sleep = func(context.Context, time.Duration) error { put(t, root, "state/0/0/.7.delta.1.tmp", "x"); return nil }
		}, ErrNotQuiet, ".7.delta.1.tmp"},
		"something is written again": {func(t *testing.T, _, root string, r *Rewind) {
			r.Sleep = func(context.Context, time.Duration) error {
				at := filepath.Join(root, "state/0/0/6.delta")
				return os.Chtimes(at, now, now)
			}
		}, ErrNotQuiet, "6.delta"},
		"interrupted": {func(_ *testing.T, _, _ string, r *Rewind) {
			r.Sleep = func(context.Context, time.Duration) error { return context.Canceled }
		}, context.Canceled, "holds still"},
	} {
		t.Run(name, func(t *testing.T) {
			place, root := placeWith(t, "hdfs-41", 5)
			r := rewindOf(root, 3)
			r.Owner = &Owner{"data", "orders"}
			test.change(t, place, root, r)
			before := tree(t, place)
			_, err := r.Run(t.Context())
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v, want %v: %s", err, test.want, test.says)
			}
			after := tree(t, place)
			delete(after, "orders/agg/state/0/0/.7.delta.1.tmp")
			sameTree(t, "the root", after, before)
		})
	}
}

// held lets another run hold the root.
func held(t *testing.T, _, root string, _ *Rewind) {
	t.Helper()
	d, err := openDisk(root, hooks{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := takeLock(d, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close(); d.close() })
}

// A lock that a run left which is gone is taken over, and so is what it had begun,
// whatever batch is asked for as the newest.
func TestAnUnfinishedRewindIsTakenOver(t *testing.T) {
	_, root := placeWith(t, "hdfs-41", 5)
	r, steps := rewindOf(root, 2), 0
	r.before = crashing(20, &steps)
	if _, err := r.Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	result := run(t, rewindOf(root, Newest))
	if !result.Resumed || result.Batch != 2 || result.From != 5 || !result.InPlace {
		t.Errorf("%+v", result)
	}
}

// A copy goes to an empty directory only, and neither into the root nor around it.
func TestCopyRefusesOtherTargets(t *testing.T) {
	root := checkpointtest.Unpack(t, "hdfs-41")
	full := t.TempDir()
	put(t, full, "precious", "x")
	for to, want := range map[string]error{
		full: backup.ErrNotEmpty, filepath.Join(root, "state"): ErrTarget, root: ErrTarget, filepath.Dir(root): ErrTarget,
	} {
		before := tree(t, root)
		r := rewindOf(root, 3)
		r.CopyTo = to
		if _, err := r.Run(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", to, err, want)
		}
		sameTree(t, "the root", tree(t, root), before)
	}
}

// The newest batch that verifies is chosen, and a root that is in order left alone.
func TestNewestBatchThatVerifies(t *testing.T) {
	t.Run("in order", func(t *testing.T) {
		root := checkpointtest.Unpack(t, "hdfs-killed-41")
		before := tree(t, root)
		if result := run(t, rewindOf(root, Newest)); !result.Unchanged || result.Batch != lastOf(t, "hdfs-killed-41") || result.Moved != 0 {
			t.Errorf("%+v", result)
		}
		sameTree(t, "the root", tree(t, root), before)
	})
	t.Run("a change of state is missing", func(t *testing.T) {
		root := checkpointtest.Unpack(t, "hdfs-41")
		if err := os.Remove(filepath.Join(root, "state/0/1/4.delta")); err != nil {
			t.Fatal(err)
		}
		result := run(t, rewindOf(root, Newest))
		if result.Batch != 2 || result.From != 5 || len(result.Passed) != 3 || !strings.Contains(result.Passed[0].Reason, "4.delta") {
			t.Errorf("%+v", result)
		}
		if report := verify(t, root, ""); !report.Healthy || *report.LastCommit != 2 {
			t.Errorf("%+v", report)
		}
	})
	t.Run("only a checksum is left of a batch", func(t *testing.T) {
		root := checkpointtest.Unpack(t, "hdfs-41")
		put(t, root, "offsets/.6.crc", "crc")
		if result := run(t, rewindOf(root, Newest)); result.Batch != 5 || result.Moved != 1 {
			t.Errorf("%+v", result)
		}
	})
	t.Run("the commits are gone", func(t *testing.T) {
		root := checkpointtest.Unpack(t, "hdfs-41")
		if err := os.RemoveAll(filepath.Join(root, "commits")); err != nil {
			t.Fatal(err)
		}
		if _, err := rewindOf(root, Newest).Run(t.Context()); !errors.Is(err, ErrNotRestorable) {
			t.Error(err)
		}
	})
}

// State that a second driver wrote over is not gone back to, unless times tell nothing.
func TestStateOfASecondDriverIsPassedOver(t *testing.T) {
	root := checkpointtest.Unpack(t, "zombie-after-rewind-41")
	if _, err := rewindOf(root, 8).Run(t.Context()); !errors.Is(err, ErrNotRestorable) || !strings.Contains(err.Error(), "9.delta was written after the commit") {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "root")
	copyTree(t, root, again)
	r := rewindOf(again, 8)
	r.TimesLost = true
	if result := run(t, r); result.Batch != 8 {
		t.Errorf("%+v", result)
	}
	// Its later versions build upon the two that were written over.
	if result := run(t, rewindOf(root, Newest)); result.Batch != 7 || len(result.Passed) == 0 {
		t.Errorf("%+v", result)
	}
}

// Names that Spark would stumble over go aside too, and directories as a whole.
func TestWhatKillsLeaveBehindIsMovedAside(t *testing.T) {
	root := checkpointtest.Unpack(t, "hdfs-41")
	left := []string{"offsets/007", "offsets/.9.crc", "commits/.4.crc.x/y", "commits/8/child", "state/0/0/.5.delta.0c2ae6d0-75cd-4b40-a2ad-2a9e9e36e2a1.TID7.tmp",
		"state/0/0/.12.snapshot.crc", "state/0/1/9.snapshot", "state/0/1/9.snapshot.crc", "state/0/1/.9.snapshot.crc.crc", "state/0/1/88.changelog", "state/0/1/2.zip.crc",
		"sources/0/.77.crc", ".metadata.0c2ae6d0-75cd-4b40-a2ad-2a9e9e36e2a1.tmp"}
	for _, name := range left {
		put(t, root, name, "x")
	}
	result := run(t, rewindOf(root, 4))
	after := tree(t, root)
	for _, name := range left {
		stays := name == "commits/.4.crc.x/y"
		_, here := after[name]
		_, aside := after[filepath.Join(result.Trash, name)]
		if here != stays || aside == stays {
			t.Errorf("%s: here %v, aside %v", name, here, aside)
		}
	}
	if report := verify(t, root, ""); !report.Healthy {
		t.Errorf("%+v", report)
	}
}

// Rewinds one after the other, with the operator remembering the highest batch.
func TestGuardPassesOneRewindAfterTheOther(t *testing.T) {
	place, root := placeWith(t, "hdfs-snapshots-41", 11)
	for _, batch := range []int64{9, 7, 2} {
		result := run(t, rewindOf(root, batch))
		if result.From != 11 || result.OwnerRecord != filepath.Join(place, guard.OwnerName) {
			t.Errorf("%+v", result)
		}
		var o guard.Owner
		data, err := os.ReadFile(result.OwnerRecord)
		if err == nil {
			err = json.Unmarshal(data, &o)
		}
		if err != nil || o.Roots["orders/agg"] != batch {
			t.Errorf("on record is %+v, %v", o, err)
		}
		if err := pass(t, place, 11); err != nil {
			t.Errorf("batch %d: %v", batch, err)
		}
		if got := reason(pass(t, place, 12)); got != guard.Older {
			t.Errorf("batch %d: %q, though batch 12 was seen", batch, got)
		}
	}
}

// A copy is right though the query goes on meanwhile.
func TestCopyOfALiveRoot(t *testing.T) {
	root := checkpointtest.Unpack(t, "hdfs-41")
	r := rewindOf(root, Newest)
	r.CopyTo = filepath.Join(t.TempDir(), "copy")
	goneOn := false
	r.Progress = func(p Progress) {
		if goneOn || p.Phase != PhaseVerify {
			return
		}
		goneOn = true
		for from, to := range map[string]string{"offsets/5": "offsets/6", "state/0/0/6.delta": "state/0/0/7.delta", "state/0/1/6.delta": "state/0/1/7.delta", "commits/5": "commits/6"} {
			if err := os.Link(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
				t.Error(err)
			}
		}
	}
	if result := run(t, r); !goneOn || result.Batch != 5 || len(result.Passed) > 0 {
		t.Errorf("%+v", result)
	}
	if report := verify(t, r.CopyTo, ""); !report.Healthy || *report.LastCommit != 5 {
		t.Errorf("%+v", report)
	}
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// clock is the time of the store and of the agent.
type clock struct{ now time.Time }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

// agedStore is a store with a clock, and a repository on it.
func agedStore(t *testing.T) (*clock, *objectstoretest.Memory, *Repository) {
	t.Helper()
	c := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	store := &objectstoretest.Memory{Now: func() time.Time { return c.now }}
	repo, err := Open(store, Options{Prefix: "p", Owner: owner.UID, Spool: t.TempDir(), Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	return c, store, repo
}

func prune(t *testing.T, repo *Repository, keep time.Duration) *PruneReport {
	t.Helper()
	report, err := repo.Prune(t.Context(), PruneOptions{Holder: owner, KeepFor: keep})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func objectsOf(store *objectstoretest.Memory) (keys []string) {
	for _, key := range store.Keys() {
		if strings.Contains(key, "/objects/") {
			keys = append(keys, key)
		}
	}
	return keys
}

const day = 24 * time.Hour

func TestPruneKeepsByAgeAndCollectsAfterGrace(t *testing.T) {
	c, store, repo := agedStore(t)
	dir := tree(t, map[string]string{"offsets/1": "first"})
	first := backUp(t, repo, whole(dir, ".", 1))
	c.pass(4 * day)
	write(t, dir, "offsets/1", "other")
	second := backUp(t, repo, whole(dir, ".", 2))
	c.pass(4 * day)
	write(t, dir, "offsets/1", "third")
	third := backUp(t, repo, whole(dir, ".", 3))

	report := prune(t, repo, 7*day)
	if !slices.Equal(report.Removed, []string{first.ID}) || !slices.Equal(report.Kept, []string{second.ID, third.ID}) {
		t.Errorf("removed %q and kept %q, want only the one of 8 days ago removed", report.Removed, report.Kept)
	}
	if n := len(objectsOf(store)); n != 6 {
		t.Errorf("%d objects, want all 6 until the grace is over", n)
	}
	if report := prune(t, repo, 7*day); report.Condemned != 2 || report.CollectedObjects != 0 {
		t.Errorf("second run: %+v, want 2 condemned", report)
	}
	c.pass(day - time.Minute)
	if report := prune(t, repo, 7*day); report.CollectedObjects != 0 {
		t.Errorf("a minute before the grace is over: collected %d objects", report.CollectedObjects)
	}
	c.pass(time.Minute)
	if report := prune(t, repo, 7*day); report.CollectedObjects != 2 || report.Condemned != 0 {
		t.Errorf("after the grace: %+v, want 2 collected", report)
	}
	expectContent(t, restore(t, repo, second.ID), map[string]string{"offsets/1": "other"})
	expectContent(t, restore(t, repo, third.ID), map[string]string{"offsets/1": "third"})
}

func TestPruneNeverRemovesTheNewestVerifiedPoint(t *testing.T) {
	c, store, repo := agedStore(t)
	files := map[string]string{"offsets/1": "precious"}
	dir := tree(t, files)
	good := backUp(t, repo, whole(dir, ".", 1))
	c.pass(day)
	write(t, dir, "offsets/1", "will be lost")
	bad := backUp(t, repo, whole(dir, ".", 2))
	// Its verification still says healthy, but the store has lost an object.
	lost := "p/" + owner.UID + "/" + bad.Roots[0].List.Key
	if err := store.Delete(t.Context(), []string{lost}); err != nil {
		t.Fatal(err)
	}
	c.pass(100 * day)
	report := prune(t, repo, 7*day)
	if report.NewestVerified != good.ID || !slices.Contains(report.Kept, good.ID) {
		t.Errorf("newest verified is %q, kept %q; want %q", report.NewestVerified, report.Kept, good.ID)
	}
	expectContent(t, restore(t, repo, good.ID), files)
}

func TestPruneWithoutAVerifiedPointRemovesNone(t *testing.T) {
	c, store, repo := agedStore(t)
	m := backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 1))
	if err := store.Delete(t.Context(), []string{"p/" + owner.UID + "/verified/" + m.ID + ".json"}); err != nil {
		t.Fatal(err)
	}
	c.pass(100 * day)
	if report := prune(t, repo, day); len(report.Removed) != 0 {
		t.Errorf("removed %q", report.Removed)
	}
}

func TestPruneKeepsPointsOfANewerFormatAndCollectsNothing(t *testing.T) {
	c, store, repo := agedStore(t)
	dir := tree(t, map[string]string{"f": "x"})
	old := backUp(t, repo, whole(dir, ".", 1))
	store.Change("p/"+owner.UID+"/points/"+old.ID+".json", func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"formatVersion": 1`), []byte(`"formatVersion": 2`), 1)
	})
	c.pass(100 * day)
	write(t, dir, "f", "y")
	backUp(t, repo, whole(dir, ".", 2))
	for range 3 {
		c.pass(2 * day)
		report := prune(t, repo, day)
		if len(report.Removed) != 0 || report.CollectedObjects != 0 || !strings.Contains(report.Blocked, "format version 2") {
			t.Errorf("report is %+v, want nothing removed and the newer format named", report)
		}
	}
	if n := len(objectsOf(store)); n != 4 {
		t.Errorf("%d objects are left, want 4", n)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	c, store, repo := agedStore(t)
	dir := tree(t, map[string]string{"f": "x"})
	first := backUp(t, repo, whole(dir, ".", 1))
	c.pass(100 * day)
	backUp(t, repo, whole(dir, ".", 2))
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" || op.Name == "Delete" {
			t.Errorf("dry run did %s %s", op.Name, op.Key)
		}
		return nil
	}
	report, err := repo.Prune(t.Context(), PruneOptions{Holder: owner, KeepFor: day, DryRun: true})
	if err != nil || !slices.Equal(report.Removed, []string{first.ID}) {
		t.Errorf("report %+v, %v; want the first point named", report, err)
	}
}

// A deleted key that came back would be deleted again by the prune that had
// already decided so.
func TestBackupOfTheSameContentWhileItsOldObjectIsCollected(t *testing.T) {
	c, store, repo := agedStore(t)
	files := map[string]string{"offsets/1": "same content"}
	plan := whole(tree(t, files), ".", 1)
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" && strings.Contains(op.Key, "/points/") {
			return errors.New("crashed before the manifest")
		}
		return nil
	}
	if _, err := repo.Backup(t.Context(), BackupOptions{Holder: owner, Plan: plan}); err == nil {
		t.Fatal("the backup did not crash")
	}
	store.Before = nil
	prune(t, repo, day)
	c.pass(2 * day)
	var m *Manifest
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Delete" && m == nil {
			store.Before = nil
			m = backUp(t, repo, plan)
		}
		return nil
	}
	if report := prune(t, repo, day); report.CollectedObjects != 2 || m == nil {
		t.Fatalf("report is %+v, want the two objects of the crashed backup collected beside a new one", report)
	}
	expectContent(t, restore(t, repo, m.ID), files)
}

func TestCondemnedIsForgottenBeforeAPointIsRemoved(t *testing.T) {
	c, store, repo := agedStore(t)
	dir := tree(t, map[string]string{"offsets/1": "a"})
	// The first backup is interrupted by a prune right before its manifest, which
	// therefore finds its objects in no point.
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" && strings.Contains(op.Key, "/points/") {
			store.Before = nil
			if report := prune(t, repo, day); report.Condemned != 2 {
				t.Errorf("condemned %d objects of the running backup, want 2", report.Condemned)
			}
		}
		return nil
	}
	old := backUp(t, repo, whole(dir, ".", 1))
	c.pass(30 * day)
	write(t, dir, "offsets/1", "b")
	backUp(t, repo, whole(dir, ".", 2))
	seen := false
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name != "Delete" || seen {
			return nil
		}
		seen = true
		if !strings.HasSuffix(op.Key, "points/"+old.ID+".json") {
			t.Errorf("the first thing deleted is %s, want the manifest of the old point", op.Key)
		}
		body, _, err := store.Get(context.Background(), "p/"+owner.UID+"/condemned.json.gz", objectstore.Range{})
		if err != nil {
			t.Fatal(err)
		}
		condemned, err := decodeCondemned(body)
		if err != nil || len(condemned) != 0 {
			t.Errorf("when the point goes %d objects are condemned (%v), want those it names forgotten", len(condemned), err)
		}
		return errors.New("crashed")
	}
	if _, err := repo.Prune(t.Context(), PruneOptions{Holder: owner, KeepFor: day}); err == nil || !seen {
		t.Errorf("the prune did not come to the removal: %v", err)
	}
}

func TestRunsThatTookTooLongChangeNothing(t *testing.T) {
	for name, run := range map[string]func(*Repository, Plan) error{
		"backup": func(repo *Repository, plan Plan) error {
			m, err := repo.Backup(context.Background(), BackupOptions{Holder: owner, Plan: plan})
			if m != nil {
				err = errors.Join(err, errors.New("there is a new point"))
			}
			return err
		},
		"prune": func(repo *Repository, _ Plan) error {
			_, err := repo.Prune(context.Background(), PruneOptions{Holder: owner, KeepFor: day})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, store, repo := agedStore(t)
			dir := tree(t, map[string]string{"f": "x"})
			backUp(t, repo, whole(dir, ".", 1))
			c.pass(100 * day)
			write(t, dir, "f", "y")
			backUp(t, repo, whole(dir, ".", 2))
			points := pointsIn(store)
			store.Before = func(op objectstoretest.Operation) error {
				if op.Name == "List" && strings.HasSuffix(op.Key, "/objects/") {
					c.pass(7 * time.Hour) // the process was frozen
				}
				return nil
			}
			err := run(repo, whole(dir, ".", 3))
			if !errors.Is(err, ErrTooLong) {
				t.Errorf("error is %v, want ErrTooLong", err)
			}
			if after := pointsIn(store); !slices.Equal(points, after) {
				t.Errorf("points went from %q to %q", points, after)
			}
		})
	}
}

func pointsIn(store *objectstoretest.Memory) (keys []string) {
	for _, key := range store.Keys() {
		if strings.Contains(key, "/points/") {
			keys = append(keys, key)
		}
	}
	return keys
}

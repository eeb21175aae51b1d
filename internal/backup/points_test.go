// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// threePoints makes points of batches 10, 20 and 30, a day apart.
func threePoints(t *testing.T) (*objectstoretest.Memory, *Repository, []string) {
	t.Helper()
	c, store, repo := agedStore(t)
	dir := tree(t, map[string]string{"f": "x"})
	var ids []string
	for batch := int64(10); batch <= 30; batch += 10 {
		ids = append(ids, backUp(t, repo, whole(dir, "q", batch)).ID)
		c.pass(day)
	}
	return store, repo, ids
}

func TestSelect(t *testing.T) {
	store, repo, ids := threePoints(t)
	manifest := func(i int) string { return "p/" + owner.UID + "/points/" + ids[i] + ".json" }
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		by   Selector
		want int // index, or -1
		says string
	}{
		"the latest":               {by: Selector{}, want: 2},
		"by id":                    {by: Selector{ID: ids[1]}, want: 1},
		"an unknown id":            {by: Selector{ID: "nonsense"}, want: -1, says: "3 points are there"},
		"by batch":                 {by: Selector{MaxBatch: map[string]int64{"q": 29}}, want: 1},
		"exactly that batch":       {by: Selector{MaxBatch: map[string]int64{"q": 20}}, want: 1},
		"a batch before all":       {by: Selector{MaxBatch: map[string]int64{"q": 9}}, want: -1, says: "has batch 10 of q"},
		"a root that is not there": {by: Selector{MaxBatch: map[string]int64{"r": 9}}, want: -1, says: "does not have query root r"},
		"by time":                  {by: Selector{NotAfter: noon.Add(47 * time.Hour)}, want: 1},
		"a time before all":        {by: Selector{NotAfter: noon.Add(-time.Hour)}, want: -1, says: "is too new"},
	} {
		t.Run(name, func(t *testing.T) { expectSelected(t, repo, ids, test.by, test.want, test.says) })
	}
	store.Change(manifest(2), func(b []byte) []byte { return b[:20] })
	t.Run("the latest cannot be read", func(t *testing.T) { expectSelected(t, repo, ids, Selector{}, 1, "") })
	t.Run("it is asked for by id", func(t *testing.T) {
		expectSelected(t, repo, ids, Selector{ID: ids[2]}, -1, "is not JSON")
	})
	store.Change(manifest(1), func(b []byte) []byte { return append(b, ' ') })
	t.Run("bytes that were never verified", func(t *testing.T) { expectSelected(t, repo, ids, Selector{}, 0, "") })
	t.Run("unverified ones are good enough", func(t *testing.T) {
		expectSelected(t, repo, ids, Selector{Unverified: true}, 1, "")
	})
}

func expectSelected(t *testing.T, repo *Repository, ids []string, by Selector, want int, says string) {
	t.Helper()
	points, err := repo.Points(t.Context())
	if err != nil || len(points) != 3 {
		t.Fatalf("listed %d points, %v; want 3", len(points), err)
	}
	got, err := Select(points, by)
	if want < 0 {
		if !errors.Is(err, ErrNoPoint) || !strings.Contains(err.Error(), says) {
			t.Errorf("error is %v, want ErrNoPoint that says %q", err, says)
		}
		return
	}
	if err != nil || got.ID != ids[want] {
		t.Errorf("selected %+v, %v; want %s", got, err, ids[want])
	}
}

func TestNewerFormatsAreRefusedByName(t *testing.T) {
	store, repo, ids := threePoints(t)
	newer := func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"formatVersion": 1`), []byte(`"formatVersion": 7`), 1)
	}
	store.Change("p/"+owner.UID+"/points/"+ids[2]+".json", newer)
	_, err := repo.Restore(t.Context(), RestoreOptions{Point: ids[2], Target: t.TempDir()})
	refused, ok := errors.AsType[*NewerFormatError](err)
	if !ok || refused.Found != 7 || refused.Known != 1 || !strings.Contains(err.Error(), "use the agent version that wrote it") {
		t.Errorf("restore: %v, want version 7 refused", err)
	}
	store.Change("p/"+owner.UID+"/owner/00000000000000000001.json", newer)
	_, err = repo.Backup(t.Context(), BackupOptions{Holder: owner, Plan: func(context.Context) ([]Cut, error) { return nil, nil }})
	if _, ok := errors.AsType[*NewerFormatError](err); !ok {
		t.Errorf("backup: %v, want the owner record of version 7 refused", err)
	}
}

func TestPointsStayInOrderWhenAClockGoesBack(t *testing.T) {
	c, _, repo := agedStore(t)
	dir := tree(t, map[string]string{"f": "x"})
	first := backUp(t, repo, whole(dir, ".", 1))
	c.pass(-3 * time.Hour)
	second := backUp(t, repo, whole(dir, ".", 2))
	points, err := repo.Points(t.Context())
	if err != nil || points[0].ID != first.ID || points[1].ID != second.ID {
		t.Errorf("points are %v, %v; want %s before %s", points, err, first.ID, second.ID)
	}
}

func TestVerifyNamesWhatIsMissing(t *testing.T) {
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	files := map[string]string{"small": "x", "state/large": noise(1, smallFile+1)}
	m := backUp(t, repo, whole(tree(t, files), ".", 1))
	sum := m.Roots[0].List.SHA256
	for _, key := range objectsOf(store) {
		if info, _ := store.Head(t.Context(), key); info.Size == smallFile+1 && !strings.Contains(key, sum) {
			if err := store.Delete(t.Context(), []string{key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	v, err := repo.Verify(t.Context(), m.ID, VerifyOptions{})
	if !errors.Is(err, ErrDamaged) || v.Damaged != 1 || !strings.Contains(v.Problems[0], "state/large") {
		t.Errorf("verification is %+v, %v; want state/large missing", v, err)
	}
	points, err := repo.Points(t.Context())
	if err != nil || points[0].Verified() {
		t.Errorf("points %+v, %v; want the one to be known as damaged", points, err)
	}
}

func TestOwnersOfAPrefix(t *testing.T) {
	store := &objectstoretest.Memory{}
	for _, uid := range []string{"b", "a"} {
		repo, err := Open(store, Options{Prefix: "x/y", Owner: uid})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repo.Claim(t.Context(), Holder{UID: uid}); err != nil {
			t.Fatal(err)
		}
	}
	owners, err := Owners(t.Context(), store, "/x/y/")
	if err != nil || strings.Join(owners, " ") != "a b" {
		t.Errorf("owners are %q, %v; want a and b", owners, err)
	}
}

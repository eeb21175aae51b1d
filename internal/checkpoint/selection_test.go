// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func openRoot(t *testing.T, root string) *Root {
	t.Helper()
	src, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	r, err := Open(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// copySelection writes a restorable set into a new directory.
func copySelection(t *testing.T, root string, s *Selection) string {
	t.Helper()
	to := t.TempDir()
	for _, f := range s.Files {
		data, err := os.ReadFile(filepath.Join(root, f.Path))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, f.Path)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Path), data, 0o644)
		}
		if err == nil {
			err = os.Chtimes(filepath.Join(to, f.Path), f.ModTime, f.ModTime)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A restorable set is a healthy root by itself, whose newest batch is that one.
// Real Spark was started on such sets; see restoredFromSelection in the fixtures.
func TestEveryRestorableSetIsARoot(t *testing.T) {
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, want := unpack(t, name), expected(t, name)
			r := openRoot(t, root)
			for _, n := range want.RestorableBatches {
				s, err := r.Select(t.Context(), n)
				if err != nil {
					t.Fatal(err)
				}
				if s.QueryID != want.QueryID || s.Batch != n {
					t.Errorf("query %s batch %d", s.QueryID, s.Batch)
				}
				got := verifyDir(t, copySelection(t, root, s), Options{Place: want.MadeAt})
				if !got.Healthy || *got.LastCommit != n || *got.LastOffset != n || !slices.Contains(got.RestorableBatches, n) {
					t.Errorf("S(%d): %+v", n, got)
				}
			}
			if newest, skipped, err := r.SelectNewest(t.Context()); err != nil || newest.Batch != *want.LastCommit || len(skipped) > 0 {
				t.Errorf("newest: %+v, skipped %v, %v", newest, skipped, err)
			}
		})
	}
}

// The set must be no larger than needed: without any one of its files the batch is
// not restorable, but for those that Spark writes again or does not look for.
func TestARestorableSetHoldsNothingToSpare(t *testing.T) {
	spare := func(p string) bool {
		return top(p) == "sources" || filepath.Base(filepath.Dir(p)) == "_metadata"
	}
	for _, name := range []string{"hdfs-snapshots-41", "rocksdb-41", "rocksdb-changelog-41", "join-41", "tws-43"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, want := unpack(t, name), expected(t, name)
			s, err := openRoot(t, root).Select(t.Context(), *want.LastCommit)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range s.Files {
				if spare(f.Path) {
					continue
				}
				without := copySelection(t, root, s)
				if err := os.Remove(filepath.Join(without, f.Path)); err != nil {
					t.Fatal(err)
				}
				if got := verifyDir(t, without, Options{Place: want.MadeAt, Level: LevelContent}); slices.Contains(got.RestorableBatches, s.Batch) {
					t.Errorf("restorable without %s", f.Path)
				}
			}
		})
	}
}

func TestSelectSaysWhatIsMissing(t *testing.T) {
	root := unpack(t, "hdfs-41")
	if err := os.Remove(filepath.Join(root, "state/0/1/3.delta")); err != nil {
		t.Fatal(err)
	}
	_, err := openRoot(t, root).Select(t.Context(), 5)
	if !errors.Is(err, ErrNothingRestorable) {
		t.Fatal(err)
	}
	s, skipped, err := openRoot(t, root).SelectNewest(t.Context())
	if err != nil || s.Batch != 1 || !slices.Equal(skipped, []int64{5, 4, 3, 2}) {
		t.Errorf("%+v, skipped %v, %v", s, skipped, err)
	}
}

func TestKafkaOffsetsAreTold(t *testing.T) {
	s, err := openRoot(t, unpack(t, "kafka-41")).Select(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []KafkaSpan{{Source: "0", From: KafkaPositions{"orders": {0: 8, 1: 8, 2: 7}}, FromPath: "offsets/3"}}
	if !reflect.DeepEqual(s.Kafka, want) {
		t.Errorf("%+v", s.Kafka)
	}
}

func TestRootsAreFound(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"orders/agg/metadata", "orders/agg/offsets/0", "orders/agg/state/0/metadata", "orders/raw/metadata", "orders/raw/offsets/0",
		"orders/raw/sub/metadata", "orders/raw/sub/offsets/0", "other/metadata", "more/offsets/3"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	roots, err := FindRoots(t.Context(), src)
	if err != nil || !slices.Equal(roots, []string{"orders/agg", "orders/raw"}) {
		t.Errorf("%v, %v", roots, err)
	}
}

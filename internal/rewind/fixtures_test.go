// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/checkpoint/checkpointtest"
	"sparkpipeline.dev/operator/internal/guard"
)

type expectation struct {
	Healthy           bool    `json:"healthy"`
	LastCommit        int64   `json:"lastCommit"`
	RestorableBatches []int64 `json:"restorableBatches"`
	MadeAt            string  `json:"madeAt"`
}

// cases are the roots of real Spark that have an expectation.
func cases(t *testing.T) map[string]expectation {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(checkpointtest.Fixtures(), "*", "expect.json"))
	if err != nil || len(found) < 44 {
		t.Fatalf("%d fixtures, %v", len(found), err)
	}
	out := map[string]expectation{}
	for _, name := range found {
		var e expectation
		data, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(data, &e)
		}
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(filepath.Dir(name))] = e
	}
	return out
}

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func rewindOf(dir string, batch int64) *Rewind {
	return &Rewind{hooks: hooks{unflushed: true}, Dir: dir, Batch: batch, Level: checkpoint.LevelChecksums, Settle: time.Second,
		Now: func() time.Time { return now }, Sleep: func(context.Context, time.Duration) error { return nil }}
}

func run(t *testing.T, r *Rewind) *Result {
	t.Helper()
	result, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// copyTree makes a directory with the files of another, by links: a rewind writes into
// no file that is there.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, _ := filepath.Rel(from, name)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, below), 0o755)
		}
		return os.Link(name, filepath.Join(to, below))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tree is every file below a directory with its content, and the empty directories.
// What differs from run to run in the names and records of the agent is left out.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		below, _ := filepath.Rel(dir, name)
		switch d.Name() {
		case guard.RewoundName, "rewind.json", guard.OwnerName:
			data = withoutIDs(data)
		}
		out[below] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withoutIDs takes the random ids out of a record.
func withoutIDs(data []byte) []byte {
	var record map[string]any
	if json.Unmarshal(data, &record) != nil {
		return data
	}
	if _, ok := record["id"]; ok {
		record["id"] = "id"
	}
	if rewinds, ok := record["rewinds"].(map[string]any); ok {
		for root := range rewinds {
			rewinds[root] = "id"
		}
	}
	data, _ = json.Marshal(record)
	return data
}

// sparks are the files of a tree that are the query's.
func sparks(files map[string]string) map[string]string {
	out := maps.Clone(files)
	maps.DeleteFunc(out, func(name, _ string) bool { return strings.HasPrefix(name, ownPrefix) })
	return out
}

func sameTree(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if content, there := got[name]; !there {
			t.Errorf("%s: %s is missing", what, name)
		} else if content != want[name] {
			t.Errorf("%s: %s is another file", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, there := want[name]; !there {
			t.Errorf("%s: %s is there too", what, name)
		}
	}
}

func verify(t *testing.T, dir, place string) *checkpoint.Report {
	t.Helper()
	src, err := checkpoint.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	report, err := checkpoint.Verify(t.Context(), src, checkpoint.Options{Place: place})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func selection(t *testing.T, dir string, batch int64) []checkpoint.Entry {
	t.Helper()
	src, err := checkpoint.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	root, err := checkpoint.Open(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	s, err := root.Select(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	return s.Files
}

// put writes a file below a directory.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/agent"
	"sparkpipeline.dev/operator/test/s3/server"
)

// fixtureRoots unpacks every root that real Spark wrote below one directory, and
// tells for each the batch that a backup has to take.
func fixtureRoots(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	fixtures := filepath.Join(running.home, "..", "..", "internal", "checkpoint", "testdata", "spark")
	expectations, err := filepath.Glob(filepath.Join(fixtures, "*", "expect.json"))
	if err != nil || len(expectations) < 40 {
		t.Fatalf("found %d fixtures, %v", len(expectations), err)
	}
	newest := map[string]int64{}
	for _, name := range expectations {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var expect struct{ RestorableBatches []int64 }
		if err := json.Unmarshal(text, &expect); err != nil || len(expect.RestorableBatches) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		root := filepath.Base(filepath.Dir(name))
		sparkRoot(t, root, filepath.Join(dir, root))
		newest[root] = slices.Max(expect.RestorableBatches)
	}
	return newest
}

// judged is what a restore prints.
type judged struct {
	Record struct {
		State     string
		Files     int64
		Rewritten []string
	}
	Roots []struct {
		Root     string
		Healthy  bool
		Findings []struct{ Kind, Severity string }
	}
}

func (j *judged) check(t *testing.T, to string, roots int) {
	t.Helper()
	if j.Record.State != "Complete" || len(j.Roots) != roots {
		t.Errorf("restored to %s: %+v with %d roots, want %d", to, j.Record, len(j.Roots), roots)
	}
	for _, root := range j.Roots {
		for _, f := range root.Findings {
			if f.Severity != "info" {
				t.Errorf("%s at %s: %+v", root.Root, to, f)
			}
		}
	}
	moved := []string{"join-v3-43/state/0/_metadata/v2/0", "tws-41/state/0/_metadata/v2/0", "tws-43/state/0/_metadata/v2/0"}
	if !slices.Equal(j.Record.Rewritten, moved) {
		t.Errorf("restored to %s: rewrote %q, want %q", to, j.Record.Rewritten, moved)
	}
}

// Every root that real Spark wrote goes to a bucket in one point and comes back,
// to a directory and to a prefix, as a root that Spark would go on with.
func TestRootsOfRealSparkComeBack(t *testing.T) {
	as(t, server.RootAccess, server.RootSecret)
	root := t.TempDir()
	newest := fixtureRoots(t, root)
	c := pipeline(t, root, t.TempDir(), nil)
	var made struct{ Point point }
	c.must(t, &made, "backup")
	if len(made.Point.Roots) != len(newest) {
		t.Errorf("the point has %d roots, want %d", len(made.Point.Roots), len(newest))
	}
	for _, r := range made.Point.Roots {
		if want, ok := newest[r.Root]; !ok || r.Batch != want {
			t.Errorf("%s was taken at batch %d, want %d", r.Root, r.Batch, want)
		}
	}
	var toDirectory, toPrefix judged
	directory := filepath.Join(t.TempDir(), "new")
	c.must(t, &toDirectory, "restore", directory)
	toDirectory.check(t, "a directory", len(newest))
	place := "s3://" + bucket(t) + "/checkpoints"
	c.must(t, &toPrefix, "restore", place)
	toPrefix.check(t, "a prefix", len(newest))

	// What came back can be backed up again, from either place.
	var again struct{ Point point }
	c.must(t, &again, "backup", "--root", directory)
	if again.Point.SentFiles > 3 {
		t.Errorf("a backup of the restored directory sent %d files, want only what was rewritten", again.Point.SentFiles)
	}
	c.must(t, &again, "backup", "--root", strings.Replace(place, "s3:", "s3a:", 1))
	if again.Point.Files != made.Point.Files || again.Point.SentFiles > 3 {
		t.Errorf("a backup of the restored prefix sent %d of %d files", again.Point.SentFiles, again.Point.Files)
	}
	if code, _, errOut := c.run(t, "restore", place); code != agent.CodeNotEmpty || !strings.Contains(errOut, "it was restored from point "+made.Point.ID) {
		t.Errorf("a newer point over the restored prefix: %d, %s", code, errOut)
	}
}

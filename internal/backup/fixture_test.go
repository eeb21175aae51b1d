// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

var owner = Holder{UID: "0b5c", Cluster: "east", Namespace: "shop", Name: "clicks"}

func open(t *testing.T, store objectstore.Store) *Repository {
	t.Helper()
	repo, err := Open(store, Options{Prefix: "backups/clicks", Owner: owner.UID, Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// tree writes files and returns the directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, dir, name, content)
	}
	return dir
}

// settled is old enough that an equal time proves an equal file.
func settled() time.Time { return time.Now().Add(-time.Hour).Truncate(time.Millisecond) }

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, settled(), settled()); err != nil {
		t.Fatal(err)
	}
}

// whole is a plan that takes every file of a directory as one root.
func whole(dir, root string, batch int64) Plan {
	return func(context.Context) ([]Cut, error) {
		cut, err := wholeCut(dir, root, batch)
		return []Cut{cut}, err
	}
}

func wholeCut(dir, root string, batch int64) (Cut, error) {
	d, err := OpenDir(dir)
	if err != nil {
		return Cut{}, err
	}
	var files []File
	err = fs.WalkDir(d.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		file, err := d.File(path)
		files = append(files, file)
		return err
	})
	info := RootInfo{Root: root, QueryID: "query-of-" + root, Batch: batch, Provider: "none"}
	return Cut{RootInfo: info, Files: FilesOf(files), Open: d.Open}, err
}

func backUp(t *testing.T, repo *Repository, plan Plan) *Manifest {
	t.Helper()
	m, err := repo.Backup(t.Context(), BackupOptions{Holder: owner, Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// contentOf reads a directory, without the restore record.
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == RestoreRecordName {
			return err
		}
		body, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func expectContent(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := contentOf(t, dir)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %s, want %s", name, brief(got[name]), brief(want[name]))
		}
	}
	if len(got) != len(want) {
		t.Errorf("restored %d files, want %d", len(got), len(want))
	}
}

func brief(s string) string {
	return fmt.Sprintf("%d bytes %x", len(s), sha256.Sum256([]byte(s)))[:40]
}

// noise is content that does not compress and differs with the seed.
func noise(seed, size int) string {
	out := make([]byte, 0, size+32)
	for i := 0; len(out) < size; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", seed, i))
		out = append(out, sum[:]...)
	}
	return string(out[:size])
}

// sample has empty, small, packed and large files.
func sample() map[string]string {
	files := map[string]string{
		"metadata":               `{"id":"a"}`,
		"offsets/1":              "v1\n{}\n",
		"commits/1":              "",
		"state/0/0/1.delta":      noise(1, 3000),
		"state/0/0/9.snapshot":   noise(2, 1<<20),
		"state/0/1/exact.delta":  noise(3, smallFile),
		"state/0/1/larger.delta": noise(4, smallFile+1),
	}
	for i := range 40 {
		files[fmt.Sprintf("state/0/2/%d.delta", i)] = noise(100+i, 200<<10)
	}
	return files
}

func restore(t *testing.T, repo *Repository, point string) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "restored")
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: point, Target: target}); err != nil {
		t.Fatal(err)
	}
	return target
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

func TestRestoredFilesEqualTheOriginals(t *testing.T) {
	files := sample()
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, files), ".", 1))
	if m.Files != 47 || m.SentFiles != 46 || m.Roots[0].Batch != 1 {
		t.Errorf("manifest counts %d files, %d sent; want 47 and, without the empty one, 46", m.Files, m.SentFiles)
	}
	target := restore(t, repo, m.ID)
	expectContent(t, target, files)
	info, err := os.Stat(filepath.Join(target, "state/0/0/1.delta"))
	if err != nil || time.Since(info.ModTime()) < 30*time.Minute {
		t.Errorf("restored file has time %v, want that of the original, an hour ago (%v)", info.ModTime(), err)
	}
}

func TestUnchangedFilesAreNeitherReadNorSentAgain(t *testing.T) {
	files := sample()
	dir := tree(t, files)
	repo := open(t, &objectstoretest.Memory{})
	backUp(t, repo, whole(dir, ".", 1))
	write(t, dir, "offsets/2", "new")
	files["offsets/2"] = "new"
	var opened []string
	m := backUp(t, repo, func(ctx context.Context) ([]Cut, error) {
		cut, err := wholeCut(dir, ".", 2)
		inner := cut.Open
		cut.Open = func(ctx context.Context, file File) (io.ReadCloser, error) {
			opened = append(opened, file.Path)
			return inner(ctx, file)
		}
		return []Cut{cut}, err
	})
	if !slices.Equal(opened, []string{"offsets/2"}) || m.SentFiles != 1 || m.SentBytes != 3 {
		t.Errorf("read %q, sent %d files of %d bytes; want offsets/2 alone", opened, m.SentFiles, m.SentBytes)
	}
	expectContent(t, restore(t, repo, m.ID), files)
}

func TestTouchedFilesAreReadButNotSentAgain(t *testing.T) {
	files := sample()
	dir := tree(t, files)
	repo := open(t, &objectstoretest.Memory{})
	backUp(t, repo, whole(dir, ".", 1))
	for name := range files {
		now := time.Now()
		if err := os.Chtimes(filepath.Join(dir, name), now, now); err != nil {
			t.Fatal(err)
		}
	}
	m := backUp(t, repo, whole(dir, ".", 1))
	if m.SentFiles != 0 {
		t.Errorf("sent %d files again, want none", m.SentFiles)
	}
	expectContent(t, restore(t, repo, m.ID), files)
}

func TestFileRewrittenWithinTheClocksGrainIsNoticed(t *testing.T) {
	dir := tree(t, map[string]string{"offsets/1": "old"})
	at := time.Now().Truncate(time.Second)
	plan := func(context.Context) ([]Cut, error) {
		cut, err := wholeCut(dir, ".", 1)
		body, err2 := os.ReadFile(filepath.Join(dir, "offsets/1"))
		// A source without tags whose times have a grain of a second.
		cut.Files = FilesOf([]File{{Path: "offsets/1", Size: int64(len(body)), ModTime: at}})
		cut.Open = func(context.Context, File) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(body)), nil
		}
		return []Cut{cut}, errors.Join(err, err2)
	}
	repo := open(t, &objectstoretest.Memory{})
	backUp(t, repo, plan)
	write(t, dir, "offsets/1", "new")
	m := backUp(t, repo, plan)
	expectContent(t, restore(t, repo, m.ID), map[string]string{"offsets/1": "new"})
}

func TestLostObjectIsSentAgain(t *testing.T) {
	files := sample()
	dir := tree(t, files)
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	first := backUp(t, repo, whole(dir, ".", 1))
	for _, key := range store.Keys() {
		if strings.Contains(key, "/objects/") {
			if err := store.Delete(t.Context(), []string{key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	second := backUp(t, repo, whole(dir, ".", 1))
	expectContent(t, restore(t, repo, second.ID), files)
	if _, err := repo.Verify(t.Context(), first.ID, VerifyOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("verifying the point whose objects are gone: %v, want ErrDamaged", err)
	}
}

func TestOvertakenCutIsPlannedAgain(t *testing.T) {
	dir := tree(t, map[string]string{"offsets/1": "one"})
	calls := 0
	plan := func(ctx context.Context) ([]Cut, error) {
		calls++
		cut, err := wholeCut(dir, ".", int64(calls))
		if calls == 1 {
			err = errors.Join(err, os.Rename(filepath.Join(dir, "offsets/1"), filepath.Join(dir, "offsets/2")))
		}
		return []Cut{cut}, err
	}
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, plan)
	if calls != 2 || m.Roots[0].Batch != 2 {
		t.Errorf("planned %d times and copied batch %d, want the second plan", calls, m.Roots[0].Batch)
	}
	expectContent(t, restore(t, repo, m.ID), map[string]string{"offsets/2": "one"})
}

func TestFileThatChangesWhileItIsReadIsOvertaken(t *testing.T) {
	for name, test := range map[string]struct{ size, found int }{
		"a small file that shrinks": {100, 50},
		"a small file that grows":   {100, 150},
		"a large file that shrinks": {1 << 20, 1 << 19},
		"a large file that grows":   {1 << 20, 1<<20 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			plan := func(context.Context) ([]Cut, error) {
				return []Cut{{
					RootInfo: RootInfo{Root: "."},
					Files:    FilesOf([]File{{Path: "f", Size: int64(test.size), ModTime: settled()}}),
					Open: func(context.Context, File) (io.ReadCloser, error) {
						return io.NopCloser(strings.NewReader(noise(1, test.found))), nil
					},
				}}, nil
			}
			store := &objectstoretest.Memory{}
			m, err := open(t, store).Backup(t.Context(), BackupOptions{Holder: owner, Plan: plan, Attempts: 2})
			if !errors.Is(err, ErrOvertaken) || m != nil {
				t.Errorf("got manifest %v and %v, want ErrOvertaken", m, err)
			}
			expectNoPoint(t, store)
		})
	}
}

func expectNoPoint(t *testing.T, store *objectstoretest.Memory) {
	t.Helper()
	for _, key := range store.Keys() {
		if strings.Contains(key, "/points/") {
			t.Errorf("%s was written", key)
		}
	}
}

func TestBadCutsAreRefused(t *testing.T) {
	file := func(path string) []File { return []File{{Path: path, Size: 1, ModTime: settled()}} }
	one := func(context.Context, File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("x")), nil
	}
	cut := func(root string, files ...File) Cut {
		return Cut{RootInfo: RootInfo{Root: root}, Files: FilesOf(files), Open: one}
	}
	for name, test := range map[string]struct {
		cuts []Cut
		want string
	}{
		"no root":             {nil, "nothing to back up"},
		"an empty root":       {[]Cut{cut("a")}, "query root a holds no file"},
		"nested roots":        {[]Cut{cut("a/b", file("f")...), cut("a", file("f")...)}, `"a" and "a/b" lie in each other`},
		"equal roots":         {[]Cut{cut("a", file("f")...), cut("a", file("f")...)}, "lie in each other"},
		"a root outside":      {[]Cut{cut("../a", file("f")...)}, `unsafe path: "../a"`},
		"a path outside":      {[]Cut{cut("a", file("../f")...)}, `unsafe path: "../f"`},
		"an absolute path":    {[]Cut{cut("a", file("/etc/passwd")...)}, "unsafe path"},
		"a path given twice":  {[]Cut{cut("a", append(file("f"), file("f")...)...)}, `out of order: "f" after "f"`},
		"a file that is gone": {[]Cut{{RootInfo: RootInfo{Root: "a"}, Files: FilesOf(file("f")), Open: gone}}, "overtaken"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &objectstoretest.Memory{}
			plan := func(context.Context) ([]Cut, error) { return test.cuts, nil }
			_, err := open(t, store).Backup(t.Context(), BackupOptions{Holder: owner, Plan: plan})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want it to say %q", err, test.want)
			}
			expectNoPoint(t, store)
		})
	}
}

func gone(_ context.Context, file File) (io.ReadCloser, error) {
	return nil, &fs.PathError{Op: "open", Path: file.Path, Err: fs.ErrNotExist}
}

func TestSeveralRootsAreOnePoint(t *testing.T) {
	a, b := tree(t, map[string]string{"metadata": "a"}), tree(t, map[string]string{"metadata": "b", "x": "y"})
	plan := func(context.Context) ([]Cut, error) {
		first, err1 := wholeCut(b, "queries/b", 7)
		second, err2 := wholeCut(a, "queries/a", 3)
		return []Cut{first, second}, errors.Join(err1, err2)
	}
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, plan)
	expectContent(t, restore(t, repo, m.ID), map[string]string{
		"queries/a/metadata": "a", "queries/b/metadata": "b", "queries/b/x": "y",
	})
	target := filepath.Join(t.TempDir(), "one")
	record, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target, Roots: []string{"queries/b"}})
	if err != nil {
		t.Fatal(err)
	}
	expectContent(t, target, map[string]string{"queries/b/metadata": "b", "queries/b/x": "y"})
	if len(record.Roots) != 1 || record.Roots[0].Batch != 7 || record.State != "Complete" {
		t.Errorf("record is %+v, want the one root with batch 7", record)
	}
}

func TestWastefulPackIsGivenUp(t *testing.T) {
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("state/%02d", i)] = noise(i, 100<<10)
	}
	dir := tree(t, files)
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	backUp(t, repo, whole(dir, ".", 1))
	for i := 1; i < 20; i++ {
		name := fmt.Sprintf("state/%02d", i)
		delete(files, name)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if m := backUp(t, repo, whole(dir, ".", 2)); m.SentFiles != 0 {
		t.Errorf("sent %d files; the pack was in full use by the point before", m.SentFiles)
	}
	m := backUp(t, repo, whole(dir, ".", 2))
	if m.SentFiles != 1 {
		t.Errorf("sent %d files, want the one that kept a pack of 2 MB alive", m.SentFiles)
	}
	if again := backUp(t, repo, whole(dir, ".", 2)); again.SentFiles != 0 {
		t.Errorf("sent %d files, want none: the new pack is in full use", again.SentFiles)
	}
	expectContent(t, restore(t, repo, m.ID), files)
}

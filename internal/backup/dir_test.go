// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDirLooksAtFilesOfManyDirectories(t *testing.T) {
	dir := tree(t, map[string]string{"top": "1", "a/x": "22", "a/y": "333", "a/b/x": "4444", "c/x": "55555"})
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i, name := range []string{"top", "a/x", "a/y", "a/b/x", "c/x", "a/x"} {
			want := []int64{1, 2, 3, 4, 5, 2}[i]
			file, err := d.File(name)
			if err != nil || file.Path != name || file.Size != want || file.Tag == "" {
				t.Errorf("%s is %+v, %v; want %d bytes", name, file, err, want)
			}
		}
	}
	for _, missing := range []string{"a/z", "nowhere/x", "z"} {
		if _, err := d.File(missing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want that it does not exist", missing, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDirIsNotLeftByALink(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "x"})
	dir := tree(t, map[string]string{"a/x": "1"})
	for name, target := range map[string]string{"link": outside, "a/up": "../../" + filepath.Base(outside), "file": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{"link/secret", "a/up/secret", "file", "../" + filepath.Base(outside) + "/secret", "a/../../x"} {
		if file, err := d.File(name); err == nil {
			t.Errorf("%s is %+v", name, file)
		}
	}
}

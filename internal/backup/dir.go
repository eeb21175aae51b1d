// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
)

// Dir reads the files of a cut from a local directory, which it cannot leave by
// a symbolic link.
type Dir struct {
	root *os.Root

	mu sync.Mutex
	// parent is the directory of the file that was looked at last: files of a cut
	// come in order, and each step of a path costs a system call of its own.
	parent *os.Root
	name   string
}

// OpenDir opens a directory. Close it after the backup.
func OpenDir(name string) (*Dir, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open query root: %w", err)
	}
	return &Dir{root: root}, nil
}

// Open is a Cut.Open.
func (d *Dir) Open(_ context.Context, file File) (io.ReadCloser, error) {
	return d.root.Open(file.Path)
}

// File looks at one file, for a Cut.Files.
func (d *Dir) File(name string) (File, error) {
	info, err := d.lstat(name)
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is not a regular file but %s", name, info.Mode().Type())
	}
	return File{Path: name, Size: info.Size(), ModTime: info.ModTime(), Tag: tagOf(info)}, nil
}

func (d *Dir) lstat(name string) (os.FileInfo, error) {
	dir, base := path.Split(name)
	if dir == "" {
		return d.root.Lstat(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parent == nil || d.name != dir {
		parent, err := d.root.OpenRoot(path.Clean(dir))
		if err != nil {
			return nil, err
		}
		if d.parent != nil {
			_ = d.parent.Close()
		}
		d.parent, d.name = parent, dir
	}
	return d.parent.Lstat(base)
}

// FS gives the directory to who computes a cut.
func (d *Dir) FS() fs.FS { return d.root.FS() }

// Close implements io.Closer.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parent == nil {
		return d.root.Close()
	}
	return errors.Join(d.parent.Close(), d.root.Close())
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Dir reads the files of a cut from a local directory, which it cannot leave by
// a symbolic link.
type Dir struct {
	root *os.Root
}

// OpenDir opens a directory. Close it after the backup.
func OpenDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open query root: %w", err)
	}
	return &Dir{root}, nil
}

// Open is a Cut.Open.
func (d *Dir) Open(_ context.Context, file File) (io.ReadCloser, error) {
	return d.root.Open(file.Path)
}

// File looks at one file, for a Cut.Files.
func (d *Dir) File(path string) (File, error) {
	info, err := d.root.Lstat(path)
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is not a regular file but %s", path, info.Mode().Type())
	}
	return File{Path: path, Size: info.Size(), ModTime: info.ModTime(), Tag: tagOf(info)}, nil
}

// FS gives the directory to who computes a cut.
func (d *Dir) FS() fs.FS { return d.root.FS() }

// Close implements io.Closer.
func (d *Dir) Close() error { return d.root.Close() }

// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// View reads Files as package checkpoint reads a directory.
type View struct {
	Files *Files
	// Turn is called before each look at a directory, its files or a file, with
	// the name: the root may change meanwhile. Nil: it does not.
	Turn func(ctx context.Context, operation, name string) error
}

var _ checkpoint.Source = View{}

func (v View) turn(ctx context.Context, operation, name string) error {
	if v.Turn == nil {
		return nil
	}
	return v.Turn(ctx, operation, name)
}

// List implements checkpoint.Source. The names of a directory are read at once;
// what each file is, later; files that are gone by then are left out.
func (v View) List(ctx context.Context, dir string) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) { v.list(ctx, dir, yield) }
}

func (v View) list(ctx context.Context, dir string, yield func(checkpoint.Entry, error) bool) bool {
	if err := v.turn(ctx, "ReadDir", dir); err != nil {
		return yield(checkpoint.Entry{}, err)
	}
	files, dirs := v.Files.In(dir)
	if err := v.turn(ctx, "Stat", dir); err != nil {
		return yield(checkpoint.Entry{}, err)
	}
	for _, name := range files {
		file, there := v.Files.Get(name)
		if there && !yield(checkpoint.Entry{Path: name, Size: int64(len(file.Content)), ModTime: file.ModTime}, nil) {
			return false
		}
	}
	for _, name := range dirs {
		if !yield(checkpoint.Entry{Path: name, Dir: true}, nil) || !v.list(ctx, name, yield) {
			return false
		}
	}
	return true
}

// Open implements checkpoint.Source. What was opened stays readable.
func (v View) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := v.turn(ctx, "Open", name); err != nil {
		return nil, err
	}
	file, there := v.Files.Get(name)
	if !there {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return opened{bytes.NewReader(file.Content)}, nil
}

// opened is a file that can be read at any place, as files of a file system can.
type opened struct{ *bytes.Reader }

func (opened) Close() error { return nil }

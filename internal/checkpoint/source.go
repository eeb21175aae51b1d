// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"time"
)

// Entry is a file or a directory of a root.
type Entry struct {
	// Path below the root, with slashes.
	Path string
	// Size in bytes; 0 for directories.
	Size    int64
	ModTime time.Time
	Dir     bool
}

// Name is the last part of the path.
func (e Entry) Name() string { return path.Base(e.Path) }

// Source reads a root. Both methods may be called concurrently.
type Source interface {
	// List yields everything below a directory of the root, at any depth; the
	// directory "." is the root itself. A directory that does not exist yields
	// nothing, and a file that goes away meanwhile is left out.
	List(ctx context.Context, dir string) iter.Seq2[Entry, error]
	// Open reads a file. The error wraps fs.ErrNotExist when it is gone.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
}

// Dir is a root on a file system. It cannot be left by a symbolic link; links and
// special files are not listed, for Spark writes none.
type Dir struct{ root *os.Root }

// OpenDir opens a directory as a root. Close it.
func OpenDir(name string) (*Dir, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the root: %w", err)
	}
	return &Dir{root}, nil
}

// Close implements io.Closer.
func (d *Dir) Close() error { return d.root.Close() }

// Open implements Source.
func (d *Dir) Open(_ context.Context, name string) (io.ReadCloser, error) { return d.root.Open(name) }

// List implements Source.
func (d *Dir) List(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := fs.WalkDir(d.root.FS(), dir, func(name string, found fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			entry, listed, err := dirEntry(name, found)
			if err != nil || !listed || name == dir {
				return err
			}
			if !yield(entry, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Entry{}, fmt.Errorf("list %s: %w", dir, err))
		}
	}
}

func dirEntry(name string, found fs.DirEntry) (entry Entry, listed bool, err error) {
	if found.IsDir() {
		return Entry{Path: name, Dir: true}, true, nil
	}
	if !found.Type().IsRegular() {
		return Entry{}, false, nil
	}
	info, err := found.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, err
	}
	return Entry{Path: name, Size: info.Size(), ModTime: info.ModTime()}, true, nil
}

// read reads a small file, at most limit bytes of it.
func read(ctx context.Context, src Source, name string, limit int64) ([]byte, error) {
	body, err := src.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, &formatError{fmt.Sprintf("is larger than %d bytes, which no such file is", limit)}
	}
	return data, nil
}

// formatError says what is wrong with the content of a file.
type formatError struct{ problem string }

func (e *formatError) Error() string { return e.problem }

func malformed(format string, args ...any) error { return &formatError{fmt.Sprintf(format, args...)} }

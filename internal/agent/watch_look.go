// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/watch"
)

// workMarks are the files by which a command of the agent says that it changes the
// checkpoint.
var workMarks = []string{guard.LockName, guard.RewindName}

// mostNames bounds a log. Spark keeps about a hundred entries of it.
const mostNames = 1 << 20

// mostSmall bounds what is read of a small file, in bytes.
const mostSmall = 64 << 20

// looker looks at query roots without writing anything.
type looker interface {
	location
	// glance is the cheap look. after are the newest entries that are known. The
	// error wraps fs.ErrNotExist when there is no root.
	glance(ctx context.Context, root string, offset, commit int64) (watch.Look, error)
	// verifiable opens a root for verification.
	verifiable(root string) (checkpoint.Source, func(), error)
	// read reads a small file below the location.
	read(ctx context.Context, name string) ([]byte, error)
}

// glance implements looker: both logs are listed, of them only the entries that are
// new are looked at, and nothing is read.
func (d directory) glance(_ context.Context, root string, offset, commit int64) (watch.Look, error) {
	place, err := os.OpenRoot(d.path)
	if err != nil {
		// A mount that is not there is no root that is not there yet.
		return watch.Look{}, fmt.Errorf("open the checkpoint: %v", err)
	}
	defer place.Close()
	dir, err := place.OpenRoot(filepath.FromSlash(root))
	if err != nil {
		return watch.Look{}, fmt.Errorf("open the query root: %w", err)
	}
	defer dir.Close()
	var l watch.Look
	info, err := dir.Stat(".")
	if err != nil {
		return l, fmt.Errorf("look at the query root: %w", err)
	}
	l.Volume = volumeOf(info)
	// A commit that is there has its offsets; the other way round a batch that ends
	// meanwhile would look as if it had none.
	if l.Commits, err = recent(dir, "commits", commit); err != nil {
		return l, err
	}
	if l.Offsets, err = recent(dir, "offsets", offset); err != nil {
		return l, err
	}
	for _, in := range []*os.Root{place, dir} {
		for _, mark := range workMarks {
			if _, err := in.Lstat(mark); err == nil {
				l.Working = mark
			}
		}
	}
	return l, nil
}

// recent lists a log and looks at its newest entries.
func recent(root *os.Root, log string, after int64) ([]watch.Batch, error) {
	names, err := namesIn(root, log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", log, err)
	}
	var out []watch.Batch
	for _, n := range watch.Recent(names, after) {
		info, err := root.Lstat(log + "/" + strconv.FormatInt(n, 10))
		if errors.Is(err, fs.ErrNotExist) {
			continue // Retention or a rewind has passed.
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s/%d: %w", log, n, err)
		}
		out = append(out, watch.Batch{Number: n, Time: info.ModTime()})
	}
	return out, nil
}

// namesIn lists a directory without looking at what is in it.
func namesIn(root *os.Root, dir string) ([]string, error) {
	file, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var names []string
	for {
		more, err := file.Readdirnames(1024)
		names = append(names, more...)
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if len(names) > mostNames {
			return nil, fmt.Errorf("holds more than %d entries, which no log does", mostNames)
		}
	}
}

// verifiable implements looker.
func (d directory) verifiable(root string) (checkpoint.Source, func(), error) {
	place, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, nil, fmt.Errorf("open the checkpoint: %v", err)
	}
	// A link that leads out of the checkpoint is refused here.
	_, err = place.Stat(filepath.FromSlash(root))
	if err := errors.Join(err, place.Close()); err != nil {
		return nil, nil, fmt.Errorf("open the query root: %w", err)
	}
	src, err := checkpoint.OpenDir(d.place(root))
	if err != nil {
		return nil, nil, err
	}
	return src, func() { _ = src.Close() }, nil
}

// read implements looker.
func (d directory) read(_ context.Context, name string) ([]byte, error) {
	place, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	file, err := place.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readSmall(file)
}

func readSmall(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, mostSmall+1))
	if err == nil && len(data) > mostSmall {
		err = fmt.Errorf("is larger than %d bytes, which no such file is", mostSmall)
	}
	return data, err
}

// glance implements looker: the listing of a bucket has the times.
func (p prefix) glance(ctx context.Context, root string, offset, commit int64) (watch.Look, error) {
	src := checkpoint.Store{Objects: p.store, Prefix: p.key(root)}
	var l watch.Look
	var err error
	if l.Commits, err = listed(ctx, src, "commits", commit); err != nil {
		return l, err
	}
	if l.Offsets, err = listed(ctx, src, "offsets", offset); err != nil {
		return l, err
	}
	if len(l.Commits) == 0 && len(l.Offsets) == 0 {
		if nothing, err := p.nothing(ctx, root); err != nil || nothing {
			return l, errors.Join(err, fs.ErrNotExist)
		}
	}
	for _, mark := range workMarks {
		_, err := p.store.Head(ctx, p.key(root)+mark)
		if err == nil {
			l.Working = mark
		} else if objectstore.KindOf(err) != objectstore.KindNotFound {
			return l, err
		}
	}
	return l, nil
}

func listed(ctx context.Context, src checkpoint.Source, log string, after int64) ([]watch.Batch, error) {
	entries := map[string]checkpoint.Entry{}
	var names []string
	for e, err := range src.List(ctx, log) {
		if err != nil {
			return nil, err
		}
		if e.Dir || path.Dir(e.Path) != log {
			continue
		}
		names = append(names, e.Name())
		entries[e.Name()] = e
		if len(names) > mostNames {
			return nil, fmt.Errorf("%s holds more than %d entries, which no log does", log, mostNames)
		}
	}
	var out []watch.Batch
	for _, n := range watch.Recent(names, after) {
		out = append(out, watch.Batch{Number: n, Time: entries[strconv.FormatInt(n, 10)].ModTime})
	}
	return out, nil
}

// verifiable implements looker.
func (p prefix) verifiable(root string) (checkpoint.Source, func(), error) {
	return checkpoint.Store{Objects: p.store, Prefix: p.key(root)}, func() {}, nil
}

// read implements looker.
func (p prefix) read(ctx context.Context, name string) ([]byte, error) {
	body, err := checkpoint.Store{Objects: p.store, Prefix: p.prefix}.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return readSmall(body)
}

// countedSource counts what a verification lists, so that nobody has to list a
// root a second time to know its size.
type countedSource struct {
	checkpoint.Source
	files, bytes atomic.Int64
}

// List implements checkpoint.Source.
func (s *countedSource) List(ctx context.Context, dir string) iter.Seq2[checkpoint.Entry, error] {
	if dir != "." {
		return s.Source.List(ctx, dir)
	}
	return func(yield func(checkpoint.Entry, error) bool) {
		var files, bytes int64
		for e, err := range s.Source.List(ctx, dir) {
			if err == nil && !e.Dir {
				files, bytes = files+1, bytes+e.Size
			}
			if !yield(e, err) {
				return
			}
		}
		s.files.Store(files)
		s.bytes.Store(bytes)
	}
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
)

// byCopy brings the restorable set of the batch to a new root. The old one is only
// read, and may still be written to by a driver that nobody knows to be dead.
func (w *work) byCopy(ctx context.Context) error {
	to, err := w.target()
	if err != nil {
		return err
	}
	defer to.close()
	// Not even a lock is put into a directory that is somebody else's.
	if w.record, err = readRecord(to); err != nil {
		return err
	}
	if _, err := w.admit(to); err != nil {
		return err
	}
	lock, err := takeLock(to, w.Now())
	if err != nil {
		return err
	}
	defer lock.close()
	if err := w.copyTo(ctx, to); err != nil {
		if w.record == nil {
			err = errors.Join(err, lock.release())
		}
		return err
	}
	return lock.release()
}

// target opens the directory of the new root.
func (w *work) target() (*disk, error) {
	at, err := filepath.Abs(w.CopyTo)
	if err != nil {
		return nil, fmt.Errorf("find the new root: %w", err)
	}
	if err := os.MkdirAll(at, 0o775); err != nil {
		return nil, fmt.Errorf("make the new root: %w", err)
	}
	if at, err = filepath.EvalSymlinks(at); err != nil {
		return nil, fmt.Errorf("find the new root: %w", err)
	}
	for _, pair := range [][2]string{{at, w.dir}, {w.dir, at}} {
		if below, err := filepath.Rel(pair[0], pair[1]); err == nil && below != ".." && !strings.HasPrefix(below, "../") {
			return nil, fmt.Errorf("%w: %s and %s lie in each other", ErrTarget, w.dir, at)
		}
	}
	w.result.Target = at
	to, err := openDisk(at, w.hooks)
	if err != nil {
		return nil, fmt.Errorf("open the new root: %w", err)
	}
	return to, nil
}

func (w *work) copyTo(ctx context.Context, to *disk) error {
	var err error
	if w.record, err = readRecord(to); err != nil {
		return err
	}
	if done, err := w.admit(to); err != nil || done {
		w.record = nil
		return err
	}
	p, err := w.plan(ctx)
	if err != nil {
		return err
	}
	if w.record == nil {
		r := &record{FormatVersion: recordFormat, ID: newID(), Batch: p.batch, From: w.result.From, Source: w.dir, StartedAt: w.Now().UTC()}
		if err := to.replaceJSON(guard.RewindName, r); err != nil {
			return fmt.Errorf("mark the new root: %w", err)
		}
		w.record = r
	}
	if err := w.copyFiles(ctx, to, p.selection.Files); err != nil {
		return err
	}
	return w.finishCopy(ctx, to)
}

// admit lets a copy into an empty directory, or one in which it was begun. done says
// that it was completed, but for its lock.
func (w *work) admit(to *disk) (done bool, err error) {
	if r := w.record; r != nil {
		if r.Source != w.dir || w.Batch != Newest && w.Batch != r.Batch {
			return false, fmt.Errorf("%w: a copy of batch %d of %s has begun in %s; complete it, or empty the directory", ErrUnfinished, r.Batch, first(r.Source, "another root"), w.result.Target)
		}
		w.Batch, w.result.Resumed = r.Batch, true
		return false, nil
	}
	if data, err := to.read(guard.RewoundName); err == nil {
		if r := guard.ReadRewound(data); r != nil && r.Source == w.dir && (w.Batch == Newest || w.Batch == r.To) {
			w.result.Batch, w.result.From, w.result.Resumed, w.result.Unchanged = r.To, r.From, true, true
			return true, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read %s: %w", guard.RewoundName, err)
	}
	names, err := fs.ReadDir(to.root.FS(), ".")
	if err != nil {
		return false, fmt.Errorf("look whether the new root is empty: %w", err)
	}
	for _, e := range names {
		if name := e.Name(); name != "lost+found" && !strings.HasPrefix(name, guard.LockName) && name != guard.RewindName+".new" {
			return false, fmt.Errorf("%w: %s holds %q; give an empty one", backup.ErrNotEmpty, w.result.Target, name)
		}
	}
	return false, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// order of the parts of a root in a copy: logs last, so that what is copied is never
// ahead of its state.
var order = map[string]int{"state": 1, "sources": 2, "offsets": 3, "commits": 4, "metadata": 5}

func (w *work) copyFiles(ctx context.Context, to *disk, files []checkpoint.Entry) error {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b checkpoint.Entry) int { return order[part(a.Path)] - order[part(b.Path)] })
	p := Progress{Phase: PhaseCopy, TotalFiles: int64(len(files))}
	for _, f := range files {
		p.TotalBytes += f.Size
	}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("copy %s: %w", f.Path, err)
		}
		if err := w.copyFile(ctx, to, f); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: %w", backup.ErrOvertaken, err)
			}
			return fmt.Errorf("copy %s: %w", f.Path, err)
		}
		w.result.Copied++
		p.Files, p.Bytes = p.Files+1, p.Bytes+f.Size
		w.report(p)
	}
	return nil
}

func part(name string) string { top, _, _ := strings.Cut(name, "/"); return top }

// copyFile copies one file with its time, which tells that it is whole: an earlier run
// sets it last.
func (w *work) copyFile(ctx context.Context, to *disk, f checkpoint.Entry) error {
	if info, err := to.root.Lstat(f.Path); err == nil && info.Size() == f.Size && info.ModTime().Equal(f.ModTime) {
		return nil
	}
	body, err := w.src.Open(ctx, f.Path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := to.mkdirAll(path.Dir(f.Path)); err != nil {
		return err
	}
	if err := to.write(f.Path, os.O_TRUNC, body); err != nil {
		return err
	}
	return to.touch(f.Path, f.ModTime)
}

// finishCopy makes the copy fit for its place, judges it and says that it is complete.
func (w *work) finishCopy(ctx context.Context, to *disk) error {
	at := w.result.Target
	as := first(w.As, at)
	w.result.Batch, w.result.From = w.record.Batch, w.record.From
	err := to.step("relocate", func() (err error) {
		w.result.Rewritten, err = checkpoint.RelocateDir(ctx, at, as)
		return err
	})
	if err != nil {
		return fmt.Errorf("rewrite the new root for its place: %w", err)
	}
	src, err := checkpoint.OpenDir(at)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := w.judge(ctx, src, w.Level, as); err != nil {
		return fmt.Errorf("the new root: %w", err)
	}
	if err := to.replaceJSON(guard.RewoundName, w.record.rewound()); err != nil {
		return fmt.Errorf("record the rewind: %w", err)
	}
	if err := to.remove(guard.RewindName); err != nil {
		return fmt.Errorf("end the copy: %w", err)
	}
	w.record = nil
	return nil
}

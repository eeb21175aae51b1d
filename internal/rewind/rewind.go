// SPDX-License-Identifier: Apache-2.0

// Package rewind takes a checkpoint root back to an earlier committed batch, in
// place. Nothing is deleted: what has to go is moved aside below the root.
//
// It is only safe while nothing can write to the root any more. A driver that was
// frozen and wakes up after a rewind overwrites the new timeline's state with the
// old one before it notices anything (seen with real Spark), so the caller has to
// know that its containers have ended; that files hold still proves nothing.
package rewind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
)

// TrashName is the directory below the root that things are moved into.
const TrashName = ".sparkpipeline-trash"

// lockedBy is how the lock of a rewind says who holds it.
const lockedBy = "agent rewind"

// Errors that callers tell apart.
var (
	// ErrLocked: somebody else works on the root.
	ErrLocked = errors.New("the root is locked")
	// ErrNotQuiet: something writes to the root.
	ErrNotQuiet = errors.New("the root does not hold still")
	// ErrOtherBatch: a rewind to another batch has begun and must be completed.
	ErrOtherBatch = errors.New("a rewind to another batch has begun")
)

// Rewind is one run.
type Rewind struct {
	// Dir is the root.
	Dir string
	// Batch to go back to.
	Batch int64
	// Quiet is how long the root has to hold still before anything is moved.
	Quiet time.Duration
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Before is asked before each change; its error ends the run there. Tests
	// crash it so. Nil: never.
	Before func(what string) error
	// Progress is told after each file.
	Progress func(done, total int)
}

// Record is the content of the file that marks a rewind that is not complete.
type Record struct {
	FormatVersion int       `json:"formatVersion"`
	Batch         int64     `json:"batch"`
	Trash         string    `json:"trash"`
	StartedAt     time.Time `json:"startedAt"`
}

// Result of a rewind.
type Result struct {
	Batch int64 `json:"batch"`
	// Moved files, and the directory below the root where they are. Empty: the
	// root was there already.
	Moved int    `json:"moved"`
	Trash string `json:"trash,omitempty"`
	// Resumed says that an earlier run was completed.
	Resumed bool `json:"resumed,omitempty"`
}

// Run takes the root back. After an error the root is as it was, or it is marked
// so that no guarded driver starts on it, and another run completes it.
func (r *Rewind) Run(ctx context.Context) (*Result, error) {
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the root: %w", err)
	}
	defer root.Close()
	w := &work{Rewind: r, root: root, result: Result{Batch: r.Batch}}
	if err := w.lock(); err != nil {
		return nil, err
	}
	if err := w.run(ctx); err != nil {
		if w.record == nil {
			// Nothing was touched yet.
			err = errors.Join(err, w.change("unlock", func() error { return root.Remove(guard.LockName) }))
		}
		return nil, err
	}
	return &w.result, nil
}

type work struct {
	*Rewind
	root   *os.Root
	record *Record
	result Result
}

// change makes one change, unless a test has the process die before it.
func (w *work) change(what string, do func() error) error {
	if w.Before != nil {
		if err := w.Before(what); err != nil {
			return err
		}
	}
	return do()
}

func (w *work) run(ctx context.Context) error {
	var err error
	if w.record, err = w.begun(); err != nil {
		return err
	}
	w.result.Resumed = w.record != nil
	surplus, err := w.surplus(ctx)
	if err != nil {
		return err
	}
	if w.record == nil {
		if len(surplus) == 0 {
			return w.change("unlock", func() error { return w.root.Remove(guard.LockName) })
		}
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	w.result.Trash = w.record.Trash
	if err := w.move(ctx, surplus); err != nil {
		return err
	}
	if err := w.verify(ctx); err != nil {
		return err
	}
	if err := w.change("end", func() error { return w.root.Remove(guard.RewindName) }); err != nil {
		return fmt.Errorf("end the rewind: %w", err)
	}
	if err := w.change("unlock", func() error { return w.root.Remove(guard.LockName) }); err != nil {
		return fmt.Errorf("unlock the root: %w", err)
	}
	return w.sync(".")
}

// lock takes the root, or takes it over from an earlier run of the same kind.
func (w *work) lock() error {
	text, err := json.Marshal(guard.Lock{By: lockedBy, Since: w.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("lock the root: %w", err)
	}
	err = w.change("lock", func() error { return w.write(guard.LockName, text, os.O_EXCL) })
	if !errors.Is(err, fs.ErrExist) {
		return wrap("lock the root", err)
	}
	var held guard.Lock
	data, err := w.read(guard.LockName)
	if err != nil {
		return fmt.Errorf("read the lock: %w", err)
	}
	if json.Unmarshal(data, &held) != nil || held.By != lockedBy {
		return fmt.Errorf("%w by %.80q since %.40q", ErrLocked, held.By, held.Since)
	}
	return nil
}

// begun reads the record of an earlier run; nil when none was under way.
func (w *work) begun() (*Record, error) {
	data, err := w.read(guard.RewindName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of the rewind: %w", err)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read the record of the rewind: %w", err)
	}
	if !fs.ValidPath(r.Trash) || path.Dir(r.Trash) != TrashName {
		return nil, fmt.Errorf("read the record of the rewind: trash is %.80q; allowed is a directory in %s", r.Trash, TrashName)
	}
	if r.Batch != w.Batch {
		return &r, fmt.Errorf("%w: batch %d, and batch %d is asked for", ErrOtherBatch, r.Batch, w.Batch)
	}
	return &r, nil
}

func (w *work) surplus(ctx context.Context) ([]string, error) {
	src, err := checkpoint.OpenDir(w.Dir)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	root, err := checkpoint.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	return root.Surplus(ctx, w.Batch)
}

// begin sees that nothing writes, and marks the root.
func (w *work) begin(ctx context.Context) error {
	before, err := w.look()
	if err != nil {
		return err
	}
	if err := w.Sleep(ctx, w.Quiet); err != nil {
		return fmt.Errorf("watch whether the root holds still: %w", err)
	}
	after, err := w.look()
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("%w: something was written within %s", ErrNotQuiet, w.Quiet)
	}
	now := w.Now().UTC()
	r := &Record{FormatVersion: 1, Batch: w.Batch, Trash: path.Join(TrashName, now.Format("20060102T150405.000000000Z")), StartedAt: now}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the record of the rewind: %w", err)
	}
	err = w.change("begin", func() error {
		if err := w.write(guard.RewindName+".new", text, os.O_TRUNC); err != nil {
			return err
		}
		return w.root.Rename(guard.RewindName+".new", guard.RewindName)
	})
	if err != nil {
		return fmt.Errorf("write the record of the rewind: %w", err)
	}
	w.record = r
	return w.sync(".")
}

// state of a root: how many files it has, their bytes and the newest time.
type state struct {
	files, bytes int64
	newest       time.Time
}

func (w *work) look() (state, error) {
	var s state
	err := fs.WalkDir(w.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		s.files++
		s.bytes += info.Size()
		if info.ModTime().After(s.newest) {
			s.newest = info.ModTime()
		}
		return nil
	})
	return s, wrap("look at the root", err)
}

func (w *work) move(ctx context.Context, surplus []string) error {
	dirs := map[string]bool{}
	for i, name := range surplus {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("move %s aside: %w", name, err)
		}
		to := path.Join(w.record.Trash, name)
		err := w.change("move "+name, func() error {
			if err := w.root.MkdirAll(path.Dir(to), 0o775); err != nil {
				return err
			}
			return w.root.Rename(name, to)
		})
		if err != nil {
			return fmt.Errorf("move %s aside: %w", name, err)
		}
		dirs[path.Dir(name)], dirs[path.Dir(to)] = true, true
		w.result.Moved++
		if w.Progress != nil {
			w.Progress(i+1, len(surplus))
		}
	}
	for dir := range dirs {
		if err := w.sync(dir); err != nil {
			return err
		}
	}
	return nil
}

// verify judges the root as it is now. What it says stands until the record is
// removed, so a root that is not in order stays marked.
func (w *work) verify(ctx context.Context) error {
	src, err := checkpoint.OpenDir(w.Dir)
	if err != nil {
		return err
	}
	defer src.Close()
	report, err := checkpoint.Verify(ctx, src, checkpoint.Options{Level: checkpoint.LevelContent})
	if err != nil {
		return fmt.Errorf("verify the root after the rewind: %w", err)
	}
	if worst, damaged := report.Worst(); damaged {
		return fmt.Errorf("the root is not in order after the rewind: %s %s", worst.Path, worst.Message)
	}
	if report.LastCommit == nil || *report.LastCommit != w.Batch || report.InFlight {
		return fmt.Errorf("the root is not at batch %d after the rewind", w.Batch)
	}
	return nil
}

func (w *work) read(name string) ([]byte, error) {
	file, err := w.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 1<<20))
}

func (w *work) write(name string, data []byte, flag int) error {
	file, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o664)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// sync puts the names of a directory on disk.
func (w *work) sync(dir string) error {
	d, err := w.root.Open(filepath.FromSlash(dir))
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return wrap("sync "+dir, errors.Join(d.Sync(), d.Close()))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

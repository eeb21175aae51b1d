// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"sync"
	"time"
)

// RestoreOptions of one restore.
type RestoreOptions struct {
	// Point is the id of the point.
	Point string
	// Target is a directory that is empty but for lost+found, or that holds what
	// an earlier run of the same restore left. It is made if need be.
	Target string
	// Roots to restore; empty: all of the point.
	Roots []string
	// Place where the target will be used, for the record. A target that was restored
	// for another place is refused.
	Place string
	// Judge looks at what was restored, when all of it is on disk and before the
	// record says Complete. It may rewrite files, and notes in the record which. With
	// its error the restore fails, stays Incomplete, and is judged again by the next
	// run. Nil: nobody.
	Judge func(ctx context.Context, record *RestoreRecord) error
}

// Restore brings the files of a point to a directory, each root below its own
// name, and compares every byte with its hash. An interrupted restore goes on
// where it stopped. The record in the target says Complete only when everything
// was written out and is on disk.
func (r *Repository) Restore(ctx context.Context, o RestoreOptions) (*RestoreRecord, error) {
	m, hash, err := r.manifest(ctx, o.Point)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	roots, err := m.pick(o.Roots)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", o.Point, err)
	}
	if err := os.MkdirAll(o.Target, 0o775); err != nil {
		return nil, fmt.Errorf("restore %s: %w", o.Point, err)
	}
	dir, err := os.OpenRoot(o.Target)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", o.Point, err)
	}
	defer dir.Close()
	record := newRestoreRecord(m, hash, roots, r.now())
	record.Place = o.Place
	before, err := admit(dir, record)
	if err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", o.Point, o.Target, err)
	}
	if before != nil && before.State == RestoreComplete {
		return before, nil
	}
	if err := writeRestoreRecord(dir, record); err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", o.Point, o.Target, err)
	}
	w := &restorer{repo: r, dir: dir, record: record, resumed: before != nil, made: map[string]bool{}, meter: &meter{report: r.progress}}
	if err := w.all(ctx, roots, o.Judge); err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", o.Point, o.Target, err)
	}
	return record, nil
}

// pick returns the wanted roots of the point.
func (m *Manifest) pick(names []string) ([]RootManifest, error) {
	if len(names) == 0 {
		return m.Roots, nil
	}
	var picked []RootManifest
	for _, root := range m.Roots {
		if slices.Contains(names, root.Root) {
			picked = append(picked, root)
		}
	}
	if len(picked) != len(names) {
		return nil, fmt.Errorf("%w: the point does not have all of the query roots %q", ErrNoPoint, names)
	}
	return picked, nil
}

// restorer writes files below one directory, which it cannot leave.
type restorer struct {
	repo   *Repository
	dir    *os.Root
	record *RestoreRecord
	// resumed tells that files of an interrupted run may be there.
	resumed bool
	meter   *meter
	mu      sync.Mutex
	made    map[string]bool
}

func (w *restorer) all(ctx context.Context, roots []RootManifest, judge func(context.Context, *RestoreRecord) error) error {
	w.meter.state.Phase = PhaseRestore
	for _, root := range roots {
		w.meter.state.TotalFiles += root.Files
		w.meter.state.TotalBytes += root.Bytes
	}
	for _, root := range roots {
		w.meter.add(func(p *Progress) { p.Root = root.Root })
		if err := w.root(ctx, root); err != nil {
			return fmt.Errorf("query root %s: %w", root.Root, err)
		}
	}
	state := w.meter.flush()
	if state.Files != state.TotalFiles || state.Bytes != state.TotalBytes {
		return fmt.Errorf("%w: the lists have %d files of %d bytes, the manifest says %d of %d",
			ErrDamaged, state.Files, state.Bytes, state.TotalFiles, state.TotalBytes)
	}
	if err := syncAll(w.dir); err != nil {
		return fmt.Errorf("write out to disk: %w", err)
	}
	if judge != nil {
		if err := judge(ctx, w.record); err != nil {
			return fmt.Errorf("judge what was restored: %w", err)
		}
	}
	w.record.State = RestoreComplete
	w.record.CompletedAt = w.repo.now().UTC()
	return writeRestoreRecord(w.dir, w.record)
}

func (w *restorer) root(ctx context.Context, root RootManifest) error {
	list, err := w.repo.fetchList(ctx, root.List)
	if err != nil {
		return err
	}
	defer list.close()
	return w.repo.contents(ctx, list,
		func(e *entry) (bool, error) { return w.wanted(under(root.Root, e.Path), e) },
		func(_ context.Context, e *entry, body io.Reader) error {
			if err := w.write(under(root.Root, e.Path), e, body); err != nil {
				return err
			}
			w.count(e, true)
			return nil
		})
}

// wanted tells whether a file is still missing; one with the right content may
// be there from an interrupted run.
func (w *restorer) wanted(name string, e *entry) (bool, error) {
	if !w.resumed {
		return true, nil
	}
	file, err := w.dir.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for what is restored already: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() != e.Size {
		return true, nil
	}
	if _, err := io.Copy(io.Discard, verifying(e, file)); err != nil {
		return true, nil
	}
	if err := w.dir.Chtimes(name, time.Time{}, time.Unix(0, e.ModTime)); err != nil {
		return true, nil
	}
	w.count(e, false)
	return false, nil
}

func (w *restorer) write(name string, e *entry, body io.Reader) error {
	if err := w.parent(name); err != nil {
		return err
	}
	file, err := w.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o664)
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	_, err = io.Copy(file, body)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	// An unchanged time makes the next backup see an unchanged file.
	if err := w.dir.Chtimes(name, time.Time{}, time.Unix(0, e.ModTime)); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	return nil
}

func (w *restorer) parent(name string) error {
	dir := path.Dir(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made[dir] {
		return nil
	}
	if err := w.dir.MkdirAll(dir, 0o775); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	w.made[dir] = true
	return nil
}

func (w *restorer) count(e *entry, sent bool) {
	w.meter.add(func(p *Progress) {
		p.Files++
		p.Bytes += e.Size
		if sent {
			p.SentFiles++
			p.SentBytes += e.Size
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// RestoreOptions of one restore.
type RestoreOptions struct {
	// Point is the id of the point.
	Point string
	// Target is a directory that is empty but for lost+found, or that holds what
	// an earlier run of the same restore left. It is made if need be.
	Target string
	// Bucket in which Target is a prefix, under the same conditions. Nil: Target is a
	// directory.
	Bucket objectstore.Store
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

// Restore brings the files of a point to its target, each root below its own
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
	to, err := r.target(o)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", o.Point, err)
	}
	defer to.close()
	record := newRestoreRecord(m, hash, roots, r.now())
	record.Place = o.Place
	before, err := admit(ctx, to, record)
	if err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", o.Point, o.Target, err)
	}
	if before != nil && before.State == RestoreComplete {
		return before, nil
	}
	if err := to.writeRecord(ctx, record); err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", o.Point, o.Target, err)
	}
	w := &restorer{repo: r, to: to, record: record, resumed: before != nil, meter: &meter{report: r.progress}}
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

// restorer brings files to a target.
type restorer struct {
	repo   *Repository
	to     target
	record *RestoreRecord
	// resumed tells that files of an interrupted run may be there.
	resumed bool
	meter   *meter
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
	if err := w.to.flush(); err != nil {
		return fmt.Errorf("write out to disk: %w", err)
	}
	if judge != nil {
		if err := judge(ctx, w.record); err != nil {
			return fmt.Errorf("judge what was restored: %w", err)
		}
	}
	w.record.State = RestoreComplete
	w.record.CompletedAt = w.repo.now().UTC()
	return w.to.writeRecord(ctx, w.record)
}

func (w *restorer) root(ctx context.Context, root RootManifest) error {
	for _, part := range w.to.order() {
		if err := w.part(ctx, root, part); err != nil {
			return err
		}
	}
	return nil
}

// part restores those files of a root that part chooses.
func (w *restorer) part(ctx context.Context, root RootManifest, part func(path string) bool) error {
	list, err := w.repo.fetchList(ctx, root.List)
	if err != nil {
		return err
	}
	defer list.close()
	pick := func(ctx context.Context, some []*entry) ([]*entry, error) {
		some = slices.DeleteFunc(slices.Clone(some), func(e *entry) bool { return !part(e.Path) })
		if !w.resumed {
			return some, nil
		}
		return w.missing(ctx, root.Root, some)
	}
	return w.repo.contents(ctx, list, pick, func(ctx context.Context, e *entry, body io.Reader) error {
		name := under(root.Root, e.Path)
		if err := w.to.write(ctx, name, e, body); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
		w.count(e, true)
		return nil
	})
}

// missing leaves out what an interrupted run brought to the target already.
func (w *restorer) missing(ctx context.Context, root string, some []*entry) ([]*entry, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.repo.concurrency)
	there := make([]bool, len(some))
	for i, e := range some {
		g.Go(func() (err error) {
			there[i], err = w.to.holds(ctx, under(root, e.Path), e)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("look for what is restored already: %w", err)
	}
	var left []*entry
	for i, e := range some {
		if there[i] {
			w.count(e, false)
			continue
		}
		left = append(left, e)
	}
	return left, nil
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

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// MaxRun bounds a backup and a prune: what took longer writes no manifest and
// deletes nothing. Prune waits for Grace before it deletes, which must be several
// times as long.
const (
	MaxRun = 6 * time.Hour
	Grace  = 24 * time.Hour
)

// BackupOptions of one run.
type BackupOptions struct {
	Holder Holder
	// Plan computes the cuts; it is asked again after an attempt was overtaken.
	Plan Plan
	// Attempts in all. Zero: 5.
	Attempts int
}

// Backup makes a new recovery point and verifies it. A file whose path, size,
// time and tag are those of the point before is not read and not sent again.
//
// When retention overtakes the cut in every attempt the error wraps
// ErrOvertaken. Whatever the error: there is a new point only if the returned
// manifest is not nil, and then the error says what its verification found.
func (r *Repository) Backup(ctx context.Context, o BackupOptions) (*Manifest, error) {
	watch := startWatch(r.now)
	ctx, cancel := context.WithTimeout(ctx, MaxRun)
	defer cancel()
	owner, err := r.Claim(ctx, o.Holder)
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	run, err := r.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	run.manifest.Owner, run.manifest.Epoch = o.Holder, owner.Epoch
	if err := run.attempts(ctx, o); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	if err := run.commit(ctx, o.Holder, watch); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	if _, err := r.Verify(ctx, run.manifest.ID, VerifyOptions{}); err != nil {
		return run.manifest, fmt.Errorf("back up: point %s was written: %w", run.manifest.ID, err)
	}
	return run.manifest, nil
}

// backupRun is what one run carries along.
type backupRun struct {
	repo     *Repository
	manifest *Manifest
	base     *Manifest
	inv      *inventory
	meter    *meter
}

func (r *Repository) prepare(ctx context.Context) (*backupRun, error) {
	points, err := r.pointIDs(ctx)
	if err != nil {
		return nil, err
	}
	run := &backupRun{repo: r, meter: &meter{report: r.progress}}
	started := r.now().UTC()
	run.base, err = r.newestReadable(ctx, points)
	if err != nil {
		return nil, err
	}
	// Points stay in the order in which they were made even when a clock went
	// back in between.
	stamp := started
	if len(points) > 0 {
		if newest := timeOf(points[len(points)-1]); !stamp.After(newest) {
			stamp = newest.Add(time.Millisecond)
		}
	}
	run.inv, err = r.inventory(ctx)
	if err != nil {
		return nil, err
	}
	run.manifest = &Manifest{FormatVersion: FormatVersion, ID: newID(stamp), StartedAt: started}
	if run.base != nil {
		run.manifest.Base = run.base.ID
	}
	return run, nil
}

// newestReadable returns the newest point that can be built upon: damaged ones
// and those of newer versions are passed over.
func (r *Repository) newestReadable(ctx context.Context, ids []string) (*Manifest, error) {
	for _, id := range slices.Backward(ids) {
		m, _, err := r.manifest(ctx, id)
		if err == nil {
			return m, nil
		}
		if _, newer := errors.AsType[*NewerFormatError](err); !newer && !errors.Is(err, ErrDamaged) && !isNoPoint(err) {
			return nil, err
		}
	}
	return nil, nil
}

func (b *backupRun) attempts(ctx context.Context, o BackupOptions) error {
	limit := o.Attempts
	if limit <= 0 {
		limit = 5
	}
	for attempt := 1; ; attempt++ {
		b.meter.add(func(p *Progress) {
			*p = Progress{Phase: PhaseCopy, Attempt: attempt, SentFiles: p.SentFiles, SentBytes: p.SentBytes}
		})
		err := b.attempt(ctx, o.Plan)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrOvertaken) || attempt >= limit || ctx.Err() != nil {
			return fmt.Errorf("attempt %d of %d: %w", attempt, limit, err)
		}
	}
}

func (b *backupRun) attempt(ctx context.Context, plan Plan) error {
	cuts, err := plan(ctx)
	if err != nil {
		return fmt.Errorf("plan the cut: %w", err)
	}
	if err := checkRoots(cuts); err != nil {
		return err
	}
	b.manifest.Roots = nil
	for i := range cuts {
		root, err := b.copyRoot(ctx, &cuts[i])
		if err != nil {
			return fmt.Errorf("query root %s: %w", cuts[i].Root, err)
		}
		b.manifest.Roots = append(b.manifest.Roots, root)
	}
	return nil
}

func (b *backupRun) copyRoot(ctx context.Context, cut *Cut) (RootManifest, error) {
	b.meter.add(func(p *Progress) { p.Root = cut.Root })
	before, err := b.repo.baseOf(ctx, b.base, cut.Root)
	if err != nil {
		return RootManifest{}, err
	}
	defer before.close()
	list, err := newListWriter(b.repo.spool)
	if err != nil {
		return RootManifest{}, err
	}
	defer list.close()
	c := &copier{repo: b.repo, cut: cut, run: b.manifest.ID, base: before, inv: b.inv, list: list, meter: b.meter}
	if err := c.copy(ctx); err != nil {
		return RootManifest{}, err
	}
	ref, err := b.sendList(ctx, list, cut.Root)
	if err != nil {
		return RootManifest{}, err
	}
	return RootManifest{RootInfo: cut.RootInfo, Files: list.files, Bytes: list.bytes, List: ref}, nil
}

// sendList sends the list of a root, or names the one before when it is equal.
func (b *backupRun) sendList(ctx context.Context, list *listWriter, root string) (Reference, error) {
	ref, err := list.finish()
	if err != nil {
		return Reference{}, err
	}
	if b.base != nil {
		for _, before := range b.base.Roots {
			if before.Root != root || before.List.SHA256 != ref.SHA256 {
				continue
			}
			if _, there := b.inv.find(before.List.Key); there {
				return before.List, nil
			}
		}
	}
	ref.Key = objectsDir + ref.SHA256 + "-" + b.manifest.ID
	_, err = b.repo.store.Put(ctx, b.repo.prefix+ref.Key, list.file, ref.Size, objectstore.PutOptions{SHA256: ref.SHA256})
	if err != nil {
		return Reference{}, fmt.Errorf("send the file list: %w", err)
	}
	return ref, nil
}

// commit writes the manifest, unless the prefix was taken over meanwhile or the
// run took so long that Prune may have passed it.
func (b *backupRun) commit(ctx context.Context, h Holder, watch stopwatch) error {
	m := b.manifest
	for _, root := range m.Roots {
		m.Files += root.Files
		m.Bytes += root.Bytes
	}
	state := b.meter.flush()
	m.SentFiles, m.SentBytes = state.SentFiles, state.SentBytes
	if _, err := b.repo.Claim(ctx, h); err != nil {
		return err
	}
	m.CompletedAt = b.repo.now().UTC()
	if elapsed := watch.elapsed(); elapsed > MaxRun {
		return fmt.Errorf("%w: %s of at most %s", ErrTooLong, elapsed.Round(time.Second), MaxRun)
	}
	if _, err := putRecord(ctx, b.repo.store, b.repo.prefix+pointsDir+m.ID+".json", m, false); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

// stopwatch measures by the steadier and the wall clock and believes the longer:
// the first stands still while a machine sleeps, the second can be set.
type stopwatch struct {
	now   func() time.Time
	start time.Time
}

func startWatch(now func() time.Time) stopwatch { return stopwatch{now, now()} }

func (w stopwatch) elapsed() time.Duration {
	now := w.now()
	return max(now.Sub(w.start), now.Round(0).Sub(w.start.Round(0)))
}

// Newest returns the manifest of the newest point that can be read; nil when
// there is none.
func (r *Repository) Newest(ctx context.Context) (*Manifest, error) {
	ids, err := r.pointIDs(ctx)
	if err != nil {
		return nil, err
	}
	return r.newestReadable(ctx, ids)
}

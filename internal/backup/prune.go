// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"
)

// PruneOptions of one run.
type PruneOptions struct {
	Holder Holder
	// KeepFor is the age up to which points stay, by the store's clock. Points
	// younger than Grace stay in any case.
	KeepFor time.Duration
	// DryRun says what would be done and does nothing.
	DryRun bool
}

// PruneReport is what a run did, or would do.
type PruneReport struct {
	// Kept and Removed points by id, oldest first.
	Kept    []string `json:"kept"`
	Removed []string `json:"removed"`
	// NewestVerified is the point that stays whatever its age; empty when there
	// is none, and then no point is removed.
	NewestVerified string `json:"newestVerified,omitempty"`
	// Collected objects and their bytes.
	CollectedObjects int64 `json:"collectedObjects"`
	CollectedBytes   int64 `json:"collectedBytes"`
	// Condemned objects are named by no point, and wait for Grace.
	Condemned int64 `json:"condemned"`
	// Blocked says why nothing was collected.
	Blocked string `json:"blocked,omitempty"`
}

// Prune removes points that are too old, and collects objects that no point
// names. It needs no lock. These rules together keep what a running backup is
// about to name:
//
//   - An object is deleted only after two runs, at least Grace apart, found it in
//     no point. A backup that was running at the first is over by the second, or
//     gives up: MaxRun is a fraction of Grace.
//   - A backup that starts later can name old objects only through a point that
//     exists when it starts. That an object is condemned is forgotten, in writing,
//     by the run that sees it named, before that run removes any point. So no
//     object is condemned on behalf of a time before its last point went.
//   - Points are listed before the record of condemned objects is read, so that
//     what another prune forgot before it removed a point is seen forgotten.
//   - Keys never come back: a backup that needs a deleted content again gives it
//     a new key.
//
// Each step leaves the store in a state from which a run can start again.
func (r *Repository) Prune(ctx context.Context, o PruneOptions) (*PruneReport, error) {
	if o.KeepFor <= 0 {
		return nil, fmt.Errorf("prune: keep points for %s; allowed is more than 0", o.KeepFor)
	}
	ctx, cancel := context.WithTimeout(ctx, MaxRun)
	defer cancel()
	p := &pruner{repo: r, options: o, watch: startWatch(r.now), report: &PruneReport{Kept: []string{}, Removed: []string{}}}
	if err := p.admit(ctx); err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	if err := p.run(ctx); err != nil {
		return p.report, fmt.Errorf("prune: %w", err)
	}
	return p.report, nil
}

type pruner struct {
	repo    *Repository
	options PruneOptions
	watch   stopwatch
	report  *PruneReport
	// now is the store's clock at the start, so that no clock of a node decides
	// what is old.
	now    time.Time
	points []Point
	named  *idSet
}

// admit refuses a prefix without an owner, where there is nothing to prune, and
// one of somebody else.
func (p *pruner) admit(ctx context.Context) error {
	owner, err := p.repo.Owner(ctx)
	if err != nil {
		return err
	}
	if owner.Epoch == 0 {
		return fmt.Errorf("%w: %s has never been backed up to", ErrNoPoint, p.repo.prefix)
	}
	if !owner.Holder.same(p.options.Holder) {
		return &TakenOverError{Prefix: p.repo.prefix, Mine: p.options.Holder, Current: owner}
	}
	return nil
}

func (p *pruner) run(ctx context.Context) (err error) {
	if p.now, err = p.storeTime(ctx); err != nil {
		return err
	}
	if p.points, err = p.repo.Points(ctx); err != nil {
		return err
	}
	if err := p.decide(ctx); err != nil {
		return err
	}
	if err := p.findNamed(ctx); err != nil {
		return err
	}
	if err := p.collect(ctx); err != nil {
		return err
	}
	return p.removePoints(ctx)
}

// prunedRecord is written to learn the store's time, and tells people who
// pruned last.
type prunedRecord struct {
	FormatVersion int       `json:"formatVersion"`
	By            Holder    `json:"by"`
	StartedAt     time.Time `json:"startedAt"`
}

func (p *pruner) storeTime(ctx context.Context) (time.Time, error) {
	if p.options.DryRun {
		return p.repo.now(), nil
	}
	key := p.repo.prefix + "pruned.json"
	record := prunedRecord{FormatVersion, p.options.Holder, p.repo.now().UTC()}
	if _, err := putRecord(ctx, p.repo.store, key, record, false); err != nil {
		return time.Time{}, fmt.Errorf("ask the store for its time: %w", err)
	}
	info, err := p.repo.store.Head(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the store for its time: %w", err)
	}
	return info.ModTime, nil
}

// decide sorts the points into those that stay and those that go.
func (p *pruner) decide(ctx context.Context) error {
	newest, err := p.newestVerified(ctx)
	if err != nil {
		return err
	}
	p.report.NewestVerified = newest
	oldest := p.now.Add(-max(p.options.KeepFor, Grace))
	for _, point := range p.points {
		_, newer := errors.AsType[*NewerFormatError](point.Err)
		if newest == "" || newer || point.ID == newest || !point.Written.Before(oldest) {
			p.report.Kept = append(p.report.Kept, point.ID)
		} else {
			p.report.Removed = append(p.report.Removed, point.ID)
		}
	}
	return nil
}

// newestVerified looks again at the points that were verified, newest first,
// until one is whole: others must not go on the word of an old record.
func (p *pruner) newestVerified(ctx context.Context) (string, error) {
	for i := len(p.points) - 1; i >= 0; i-- {
		if !p.points[i].Verified() {
			continue
		}
		_, err := p.repo.Verify(ctx, p.points[i].ID, VerifyOptions{ReadOnly: true})
		if err == nil {
			return p.points[i].ID, nil
		}
		if unlessJudged(err) != nil {
			return "", err
		}
	}
	return "", nil
}

// findNamed gathers all objects that any existing point names. A point that
// cannot be read blocks collecting, since nobody knows what it names.
func (p *pruner) findNamed(ctx context.Context) error {
	p.named = &idSet{}
	seen := map[string]bool{}
	for _, point := range p.points {
		if point.Err != nil {
			if isNoPoint(point.Err) {
				continue // removed since it was listed
			}
			p.report.Blocked = fmt.Sprintf("point %s cannot be read: %v", point.ID, point.Err)
			return nil
		}
		for _, root := range point.Manifest.Roots {
			if seen[root.List.Key] {
				continue
			}
			seen[root.List.Key] = true
			err := p.addList(ctx, root.List)
			if err != nil && unlessJudged(err) == nil {
				p.report.Blocked = fmt.Sprintf("point %s, query root %s: %v", point.ID, root.Root, err)
				return nil
			}
			if err != nil {
				return fmt.Errorf("point %s: %w", point.ID, err)
			}
		}
	}
	return nil
}

func (p *pruner) addList(ctx context.Context, ref Reference) error {
	list, err := p.repo.fetchList(ctx, ref)
	if err != nil {
		return err
	}
	defer list.close()
	p.named.add(idOf(ref.Key))
	last := ""
	for {
		e, err := list.next()
		if e == nil || err != nil {
			return err
		}
		if e.Object != "" && e.Object != last {
			p.named.add(idOf(e.Object))
			last = e.Object
		}
	}
}

// removePoints deletes manifests before anything else of a point, so that what
// is left of it is garbage and not a point.
func (p *pruner) removePoints(ctx context.Context) error {
	if p.options.DryRun {
		return nil
	}
	for _, id := range p.report.Removed {
		if err := p.may(ctx); err != nil {
			return err
		}
		for _, dir := range []string{pointsDir, verifiedDir} {
			if err := p.repo.store.Delete(ctx, []string{p.repo.prefix + dir + id + ".json"}); err != nil {
				return fmt.Errorf("remove point %s: %w", id, err)
			}
		}
	}
	return p.removeOrphans(ctx)
}

// removeOrphans deletes verifications whose point is gone.
func (p *pruner) removeOrphans(ctx context.Context) error {
	there := map[string]bool{}
	for _, point := range p.points {
		there[point.ID] = true
	}
	var orphans []string
	for info, err := range p.repo.store.List(ctx, p.repo.prefix+verifiedDir) {
		if err != nil {
			return fmt.Errorf("list verifications: %w", err)
		}
		id, ok := pointID(path.Base(info.Key))
		if ok && !there[id] && p.now.Sub(info.ModTime) >= Grace {
			orphans = append(orphans, info.Key)
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	if err := p.repo.store.Delete(ctx, orphans); err != nil {
		return fmt.Errorf("delete verifications of removed points: %w", err)
	}
	return nil
}

// may is asked before every deletion.
func (p *pruner) may(ctx context.Context) error {
	if elapsed := p.watch.elapsed(); elapsed > MaxRun {
		return fmt.Errorf("%w: %s of at most %s", ErrTooLong, elapsed.Round(time.Second), MaxRun)
	}
	return p.admit(ctx)
}

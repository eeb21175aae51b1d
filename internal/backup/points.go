// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// Point is a recovery point as the store holds it.
type Point struct {
	ID string
	// Manifest is nil when it cannot be read; Err says why.
	Manifest *Manifest
	Err      error
	// Verification is the last one; nil when there was none.
	Verification *Verification
	// Written is the store's clock when the manifest was written.
	Written time.Time
}

// Verified tells whether the point was whole when it was last looked at.
func (p *Point) Verified() bool {
	return p.Manifest != nil && p.Verification != nil && p.Verification.Healthy
}

// Points lists the recovery points, oldest first, with those that cannot be read.
func (r *Repository) Points(ctx context.Context) ([]Point, error) {
	var points []Point
	for info, err := range r.store.List(ctx, r.prefix+pointsDir) {
		if err != nil {
			return nil, fmt.Errorf("list recovery points: %w", err)
		}
		if id, ok := pointID(info.Key); ok {
			points = append(points, Point{ID: id, Written: info.ModTime})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.concurrency)
	for i := range points {
		g.Go(func() error { return r.readPoint(ctx, &points[i]) })
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("list recovery points: %w", err)
	}
	return points, nil
}

func (r *Repository) readPoint(ctx context.Context, p *Point) error {
	m, hash, err := r.manifest(ctx, p.ID)
	if err != nil {
		p.Err = err
		return unlessJudged(err)
	}
	p.Manifest = m
	var v Verification
	_, err = getRecord(ctx, r.store, r.prefix+verifiedDir+p.ID+".json", &v)
	if err != nil {
		if objectstore.KindOf(err) == objectstore.KindNotFound {
			return nil
		}
		return unlessJudged(err)
	}
	// A verification of other bytes says nothing about these.
	if v.FormatVersion <= FormatVersion && v.ManifestSHA256 == hash {
		p.Verification = &v
	}
	return nil
}

// unlessJudged keeps the errors that speak about the store and not the point.
func unlessJudged(err error) error {
	_, newer := errors.AsType[*NewerFormatError](err)
	if newer || errors.Is(err, ErrDamaged) || isNoPoint(err) {
		return nil
	}
	return err
}

func (r *Repository) pointIDs(ctx context.Context) ([]string, error) {
	var ids []string
	for info, err := range r.store.List(ctx, r.prefix+pointsDir) {
		if err != nil {
			return nil, fmt.Errorf("list recovery points: %w", err)
		}
		if id, ok := pointID(info.Key); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func pointID(key string) (string, bool) {
	name := key[strings.LastIndexByte(key, '/')+1:]
	id, ok := strings.CutSuffix(name, ".json")
	return id, ok && idPattern.MatchString(id)
}

// timeOf returns the time in an id of this package.
func timeOf(id string) time.Time {
	t, err := time.Parse(idLayout, id[:len(idLayout)])
	if err != nil {
		return time.Time{}
	}
	return t
}

// manifest reads a manifest and its hash.
func (r *Repository) manifest(ctx context.Context, id string) (*Manifest, string, error) {
	if !idPattern.MatchString(id) {
		return nil, "", fmt.Errorf("%w: %q is not the id of a point", ErrNoPoint, id)
	}
	var m Manifest
	hash, err := getRecord(ctx, r.store, r.prefix+pointsDir+id+".json", &m)
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return nil, "", fmt.Errorf("%w: there is no point %s", ErrNoPoint, id)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the manifest of %s: %w", id, err)
	}
	if err := m.check(id); err != nil {
		return nil, "", err
	}
	return &m, hash, nil
}

func isNoPoint(err error) bool { return errors.Is(err, ErrNoPoint) }

// Selector says which point is wanted; the newest that fits is taken.
type Selector struct {
	// ID of one point. When set, nothing else counts.
	ID string
	// NotAfter is the latest start of the cut. Zero: any.
	NotAfter time.Time
	// MaxBatch is the highest committed batch by query root; a root that a point
	// does not have excludes the point.
	MaxBatch map[string]int64
	// Unverified points count too.
	Unverified bool
}

// Select picks a point out of Points. Without one it returns an error that wraps
// ErrNoPoint and says why the newest ones did not fit.
func Select(points []Point, s Selector) (*Point, error) {
	var reasons []string
	// newer is of a point that may well fit, for an agent that can read it.
	var newer *NewerFormatError
	for i := len(points) - 1; i >= 0; i-- {
		p := &points[i]
		if s.ID != "" && p.ID != s.ID {
			continue
		}
		reason := s.mismatch(p)
		if reason == "" {
			return p, nil
		}
		if e, ok := errors.AsType[*NewerFormatError](p.Err); ok && newer == nil {
			newer = e
		}
		if len(reasons) < 3 {
			reasons = append(reasons, p.ID+" "+reason)
		}
	}
	if newer != nil {
		return nil, fmt.Errorf("%w this agent: %w", ErrNoPoint, newer)
	}
	if len(reasons) == 0 {
		reasons = append(reasons, fmt.Sprintf("%d points are there", len(points)))
	}
	return nil, fmt.Errorf("%w: %s", ErrNoPoint, strings.Join(reasons, "; "))
}

func (s Selector) mismatch(p *Point) string {
	switch {
	case p.Err != nil:
		return "cannot be read: " + p.Err.Error()
	case s.ID != "":
		return ""
	case !s.Unverified && p.Verification == nil:
		return "was not verified"
	case !s.Unverified && !p.Verified():
		return "was found damaged"
	case !s.NotAfter.IsZero() && p.Manifest.StartedAt.After(s.NotAfter):
		return "is too new"
	}
	for root, batch := range s.MaxBatch {
		if reason := p.Manifest.batchMismatch(root, batch); reason != "" {
			return reason
		}
	}
	return ""
}

func (m *Manifest) batchMismatch(root string, batch int64) string {
	for _, r := range m.Roots {
		if r.Root == root {
			if r.Batch > batch {
				return fmt.Sprintf("has batch %d of %s", r.Batch, root)
			}
			return ""
		}
	}
	return "does not have query root " + root
}

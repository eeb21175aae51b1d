// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/watch"
)

// listWithin bounds one listing of recovery points.
const listWithin = 5 * time.Minute

// digest reads the mounted Secrets and ConfigMaps now and then, until ctx ends. The
// kubelet changes them within about a minute.
func (w *watcher) digest(ctx context.Context) {
	if w.mounted == "" {
		return
	}
	for ctx.Err() == nil {
		m := digests(w.mounted)
		m.At = w.now()
		w.with(func(s *watch.Watch) { s.Digested(m) })
		if sleep(ctx, asideEvery) != nil {
			return
		}
	}
}

// digests of the directories KIND/NAME below a directory.
func digests(dir string) watch.Mounted {
	m := watch.Mounted{Digests: map[string]string{}, Errors: map[string]string{}}
	kinds, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Errors[dir] = err.Error()
	}
	for _, kind := range kinds {
		names, err := os.ReadDir(filepath.Join(dir, kind.Name()))
		if err != nil {
			m.Errors[kind.Name()] = err.Error()
		}
		for _, name := range names {
			of := kind.Name() + "/" + name.Name()
			// The names in a mount are links to one directory, which is exchanged whole.
			digest, err := watch.Digest(os.DirFS(filepath.Join(dir, kind.Name(), name.Name())))
			if err != nil {
				m.Errors[of] = err.Error()
				continue
			}
			m.Digests[of] = digest
		}
	}
	return m
}

// list lists the recovery points now and then, until ctx ends.
func (w *watcher) list(ctx context.Context) {
	if w.points == nil {
		return
	}
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, listWithin)
		p := w.points(limited)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if p.Error == "" {
			p.At = w.now()
		}
		w.with(func(s *watch.Watch) { s.Pointed(p) })
		if sleep(ctx, w.pointsEvery) != nil {
			return
		}
	}
}

// readPoints lists the recovery points that flags and configuration name. Without a
// configuration their owner may become known only when there are some.
func (c *watchCommand) readPoints(ctx context.Context) watch.Points {
	repo, err := c.repository(ctx, &c.where, nil)
	if errors.Is(err, backup.ErrNoPoint) {
		return watch.Points{}
	}
	if err != nil {
		return watch.Points{Error: err.Error()}
	}
	return pointsOf(ctx, repo)
}

func pointsOf(ctx context.Context, repo *repository) watch.Points {
	out := watch.Points{Place: repo.place}
	points, err := repo.Points(ctx)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Count = len(points)
	for i := range points {
		p := &points[i]
		if p.Manifest == nil {
			continue
		}
		out.Newest = pointStatus(p)
		if p.Verified() {
			out.Verified++
			out.NewestVerified = out.Newest
		}
	}
	return out
}

func pointStatus(p *backup.Point) *watch.PointStatus {
	s := &watch.PointStatus{ID: p.ID, StartedAt: p.Manifest.StartedAt, CompletedAt: p.Manifest.CompletedAt, Batches: map[string]int64{}}
	for _, root := range p.Manifest.Roots {
		s.Batches[root.Root] = root.Batch
	}
	return s
}

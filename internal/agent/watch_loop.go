// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
	"sparkpipeline.dev/operator/internal/watch"
)

const (
	// asideEvery is the time between two looks at what seldom changes.
	asideEvery = 30 * time.Second
	// searchEvery is the time between two searches for query roots, and
	// searchFirst while there is none.
	searchEvery = 5 * time.Minute
	searchFirst = 10 * time.Second
)

// watcher feeds a watch.Watch. Whatever reads the checkpoint may hang for as long as
// a file system does, so each kind of look has a goroutine of its own, and none
// holds the lock meanwhile.
type watcher struct {
	log *slog.Logger
	now func() time.Time

	at looker
	// inPlace: the roots stand where Spark has them.
	inPlace     bool
	pipeline    config.Identity
	deepLevel   int
	discovers   bool
	stallAfter  time.Duration
	mounted     string
	pointsEvery time.Duration
	stopWithin  time.Duration
	lagEvery    time.Duration
	// kafka is asked for the lag. Of the goroutine that does.
	kafka *brokers
	// points lists the recovery points; nil: there is no bucket.
	points func(ctx context.Context) watch.Points

	mu    sync.Mutex
	state *watch.Watch
	// told are the problems that were logged.
	told []watch.Problem

	// owner is the first record that was seen. Of the goroutine that looks.
	owner *watch.Owner
}

// with changes what is known and logs what that changes for readers.
func (w *watcher) with(change func(*watch.Watch)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.state)
	problems := w.state.Problems(w.now())
	same := func(p watch.Problem) func(watch.Problem) bool {
		return func(o watch.Problem) bool { return o.Query == p.Query && o.Reason == p.Reason }
	}
	for _, p := range problems {
		if p.Reason != watch.ReasonStarting && !slices.ContainsFunc(w.told, same(p)) {
			w.log.Warn("Problem", "query", p.Query, "reason", string(p.Reason), "message", p.Message)
		}
	}
	for _, p := range w.told {
		if p.Reason != watch.ReasonStarting && !slices.ContainsFunc(problems, same(p)) {
			w.log.Info("Problem is over", "query", p.Query, "reason", string(p.Reason))
		}
	}
	w.told = problems
}

func (w *watcher) status() watch.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Status(w.now())
}

// view is what a goroutine needs to know of a query before it looks.
type view struct {
	*watch.Query
	watch.Declared
	offset, commit int64
}

func (w *watcher) views() []view {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []view
	for _, q := range w.state.Queries() {
		offset, commit := q.Newest()
		out = append(out, view{q, q.Declared(), offset, commit})
	}
	return out
}

// look looks at the logs of all roots, each in its own interval, until ctx ends.
func (w *watcher) look(ctx context.Context) {
	var asideAt, searchAt time.Time
	due := map[string]time.Time{}
	for ctx.Err() == nil {
		now := w.now()
		if w.discovers && !now.Before(searchAt) {
			searchAt = now.Add(w.search(ctx))
		}
		aside := !now.Before(asideAt)
		if aside {
			asideAt = now.Add(asideEvery)
			w.ownership(ctx)
		}
		next := asideAt
		if w.discovers && searchAt.Before(next) {
			next = searchAt
		}
		for _, v := range w.views() {
			if at := due[v.Path]; now.Before(at) {
				next = earlier(next, at)
				continue
			}
			w.glance(ctx, v)
			if aside {
				w.identify(ctx, v)
			}
			w.mu.Lock()
			due[v.Path] = w.now().Add(v.NextLook(w.now(), w.state.Pace()))
			w.mu.Unlock()
			next = earlier(next, due[v.Path])
		}
		if sleep(ctx, next.Sub(w.now())) != nil {
			return
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *watcher) glance(ctx context.Context, v view) {
	l, err := w.at.glance(ctx, v.Path, v.offset, v.commit)
	if ctx.Err() != nil {
		return
	}
	at := w.now()
	w.with(func(*watch.Watch) {
		switch {
		case err == nil:
			v.Looked(at, l)
		case errors.Is(err, fs.ErrNotExist):
			v.Absent(at)
		default:
			v.Failed(at, err)
		}
	})
}

// search finds the query roots where the spec names none. It returns when to search
// again.
func (w *watcher) search(ctx context.Context) time.Duration {
	paths, err := discover(ctx, w.at)
	if ctx.Err() != nil {
		return searchFirst
	}
	var found []watch.Declared
	for _, p := range paths {
		found = append(found, watch.Declared{Name: strings.ToValidUTF8(p, "?"), Path: p, Discovered: true, StallAfter: w.stallAfter, Since: w.now()})
	}
	w.with(func(s *watch.Watch) {
		if err != nil {
			s.NotFound(err)
		} else {
			s.Found(found)
		}
	})
	if err != nil {
		return searchFirst
	}
	return searchEvery
}

// ownership reads the record that the guard leaves beside the roots.
func (w *watcher) ownership(ctx context.Context) {
	text, err := w.at.read(ctx, guard.OwnerName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // What a look runs into is told by the looks at the logs.
	}
	var record guard.Owner
	known := err == nil && json.Unmarshal(text, &record) == nil
	var owner *watch.Owner
	if known {
		owner = &watch.Owner{Namespace: record.Namespace, Name: record.Name, UID: record.UID, Epoch: record.Epoch}
	}
	if w.owner == nil {
		w.owner = owner
	}
	foreign := ""
	if w.pipeline.Name != "" {
		foreign = watch.Foreign(owner, w.owner, w.pipeline.Namespace, w.pipeline.Name)
	}
	if err == nil && !known {
		foreign = guard.OwnerName + " cannot be read, so the owner of the checkpoint is unknown"
	}
	w.with(func(s *watch.Watch) {
		s.Owned(owner, foreign)
		if !known {
			return // A record that is gone permits nothing.
		}
		for _, q := range s.Queries() {
			batch, ok := record.Roots[q.Declared().Path]
			if !ok {
				batch = -1
			}
			q.Recorded(batch, string(text))
		}
	})
}

// identify reads the id of the query.
func (w *watcher) identify(ctx context.Context, v view) {
	text, err := w.at.read(ctx, path.Join(v.Path, "metadata"))
	var metadata struct {
		ID string `json:"id"`
	}
	if err != nil || json.Unmarshal(text, &metadata) != nil {
		return // Verification tells what is wrong with it.
	}
	at := w.now()
	w.with(func(*watch.Watch) { v.Identified(at, metadata.ID) })
}

// verify verifies one root after the other, when each is due, until ctx ends.
func (w *watcher) verify(ctx context.Context) {
	for ctx.Err() == nil {
		v, at, deep := w.nextVerification()
		if wait := at.Sub(w.now()); v.Query == nil || wait > 0 {
			// A root that is found meanwhile need not wait long.
			if sleep(ctx, min(max(wait, 100*time.Millisecond), 5*time.Second)) != nil {
				return
			}
			continue
		}
		level := checkpoint.LevelLogs
		if deep {
			level = w.deepLevel
		}
		w.verifyRoot(ctx, v, level)
	}
}

// nextVerification chooses the root that is due first. One without a batch has
// nothing to verify.
func (w *watcher) nextVerification() (next view, at time.Time, deep bool) {
	for _, v := range w.views() {
		if v.offset < 0 && v.commit < 0 {
			continue
		}
		w.mu.Lock()
		due, deeply := v.NextVerification(w.state.Pace())
		w.mu.Unlock()
		if next.Query == nil || due.Before(at) {
			next, at, deep = v, due, deeply
		}
	}
	return next, at, deep
}

func (w *watcher) verifyRoot(ctx context.Context, v view, level int) {
	began := w.now()
	result := watch.Verification{At: began, Level: level}
	report, err := w.judge(ctx, v, &result)
	if ctx.Err() != nil {
		return
	}
	result.Took = w.now().Sub(began)
	w.with(func(*watch.Watch) {
		if err != nil {
			v.VerifyFailed(began, err)
		} else {
			v.Verified(result, report)
		}
	})
}

func (w *watcher) judge(ctx context.Context, v view, result *watch.Verification) (*checkpoint.Report, error) {
	src, done, err := w.at.verifiable(v.Path)
	if err != nil {
		return nil, err
	}
	defer done()
	counted := &countedSource{Source: src}
	options := checkpoint.Options{Level: result.Level}
	if w.inPlace {
		options.Place = w.at.place(v.Path)
	}
	report, err := checkpoint.Verify(ctx, counted, options)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	result.Files, result.Bytes = counted.files.Load(), counted.bytes.Load()
	return report, nil
}

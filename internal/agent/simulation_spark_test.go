// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
	"sparkpipeline.dev/operator/internal/sparksim"
)

// simulatedQuery is a streaming query with its root on a volume. Its driver is
// killed and started, and the root is rewound while the driver is down.
type simulatedQuery struct {
	name     string
	settings sparksim.Settings
	files    *sparksim.Files
	driver   *sparksim.Query // nil: it is down
	// rewinding is what a rewind has still to remove; to is its batch.
	rewinding []func()
	to        int64
	// generation counts rewinds: what was committed before one may be gone.
	generation int
	written    time.Time
}

func newSimulatedQuery(name string, rng *rand.Rand) *simulatedQuery {
	q := &simulatedQuery{name: name, settings: sparksim.Draw(rng), files: sparksim.NewFiles()}
	// Files are told apart to the millisecond, as by the file systems that state
	// is kept on, and more are written in one than it has.
	q.files.Now = func() time.Time {
		now := time.Now().Truncate(time.Millisecond)
		if !now.After(q.written) {
			now = q.written.Add(time.Millisecond)
		}
		q.written = now
		return now
	}
	return q
}

// advance makes one operation of the driver, or of whoever works on its root.
func (q *simulatedQuery) advance(rng *rand.Rand, tally *tally) error {
	switch n := rng.IntN(2000); {
	case q.driver != nil && n < 1:
		q.driver = nil
		tally.Kills++
	case q.driver != nil:
		q.driver.Step()
	case len(q.rewinding) > 0 && n < 60: // it crashed, and is run again
		q.rewinding = sparksim.Rewind(q.files, q.to)
	case len(q.rewinding) > 0:
		q.rewinding[0]()
		q.rewinding = q.rewinding[1:]
	case n < 400:
		return q.rewind(rng, tally)
	default:
		return q.start(rng)
	}
	return nil
}

func (q *simulatedQuery) start(rng *rand.Rand) (err error) {
	q.driver, err = sparksim.Start(q.files, q.settings, rng)
	if err != nil {
		return fmt.Errorf("the simulated query %+v does not start on its own root: %w", q.settings, err)
	}
	return nil
}

func (q *simulatedQuery) rewind(rng *rand.Rand, tally *tally) error {
	batch, ok := sparksim.DrawRewind(q.files, q.settings, rng)
	if !ok {
		return q.start(rng)
	}
	q.to, q.rewinding = batch, sparksim.Rewind(q.files, batch)
	q.generation++
	tally.Rewinds++
	return nil
}

// newestCommit is -1 when there is none.
func (q *simulatedQuery) newestCommit() int64 {
	newest := int64(-1)
	names, _ := q.files.In("commits")
	for _, name := range names {
		var n int64
		if _, err := fmt.Sscanf(name, "commits/%d", &n); err == nil && name == fmt.Sprintf("commits/%d", n) {
			newest = max(newest, n)
		}
	}
	return newest
}

// volume is the checkpoint of a pipeline as one process sees it: whenever it
// looks, the queries may have gone on.
type volume struct {
	*simulation
	process *objectstoretest.Process
	// hurry is how many looks of a hundred find that nobody else had a turn.
	hurry  uint64
	number int
}

var _ location = volume{}

// turn waits for the scheduler before a look at a file. Which looks wait depends on
// nothing but the process and the look, so that a seed is one history also where a
// process looks at several files at a time.
func (v volume) turn(ctx context.Context, operation, name string) error {
	h := fnv.New64a()
	fmt.Fprint(h, v.seed, v.number, operation, name)
	if h.Sum64()%100 < v.hurry {
		return ctx.Err()
	}
	_, err := v.process.Turn(ctx, operation, name)
	return err
}

func (v volume) place(dir string) string { return placeBelow("/checkpoint", dir) }

// look implements location: a pipeline with one query has its root in the
// location itself.
func (v volume) look(ctx context.Context, dir string) (listing, error) {
	if err := v.turn(ctx, "Look", dir); err != nil {
		return listing{}, err
	}
	if dir == "." && v.queries[0].name != "." {
		var found listing
		for _, q := range v.queries {
			found.folders = append(found.folders, q.name)
		}
		return found, nil
	}
	q := v.query(dir)
	if q == nil {
		return listing{}, fs.ErrNotExist
	}
	files, dirs := q.files.In(".")
	_, metadata := q.files.Get("metadata")
	return listing{folders: dirs, metadata: metadata, empty: len(files)+len(dirs) == 0}, nil
}

// root implements location.
func (v volume) root(dir string) (*source, error) {
	q := v.query(dir)
	if q == nil {
		return nil, fs.ErrNotExist
	}
	under := func(ctx context.Context, operation, name string) error { return v.turn(ctx, operation, dir+"/"+name) }
	return &source{
		reader: sparksim.View{Files: q.files, Turn: under},
		file: func(name string) (backup.File, error) {
			if err := under(context.Background(), "Lstat", name); err != nil {
				return backup.File{}, err
			}
			file, there := q.files.Get(name)
			if !there {
				v.overtaken.Add(1)
				return backup.File{}, fs.ErrNotExist
			}
			return backup.File{Path: name, Size: int64(len(file.Content)), ModTime: file.ModTime, Tag: fmt.Sprint(file.Number)}, nil
		},
		open: func(ctx context.Context, f backup.File) (io.ReadCloser, error) {
			if err := under(ctx, "OpenFile", f.Path); err != nil {
				return nil, err
			}
			file, there := q.files.Get(f.Path)
			if !there || fmt.Sprint(file.Number) != f.Tag {
				v.overtaken.Add(1)
				return nil, backup.ErrOvertaken
			}
			return sparksim.View{Files: q.files}.Open(ctx, f.Path)
		},
		close: func() error { return nil },
	}, nil
}

func (s *simulation) query(root string) *simulatedQuery {
	for _, q := range s.queries {
		if q.name == root {
			return q
		}
	}
	return nil
}

// naive copies one live root as a recursive copy does.
func (s *simulation) naive(v volume) func() {
	q := v.queries[int(v.number)%len(v.queries)]
	view := sparksim.View{Files: q.files, Turn: v.turn}
	copied := sparksim.NewFiles()
	for e, err := range view.List(context.Background(), ".") {
		if err != nil {
			return func() {}
		}
		if file, there := q.files.Get(e.Path); there && !e.Dir {
			copied.Copy(e.Path, file)
		}
		if v.turn(context.Background(), "Copy", e.Path) != nil {
			return func() {}
		}
	}
	if len(copied.Below("commits")) == 0 {
		return func() {}
	}
	rng := rand.New(rand.NewPCG(s.seed, uint64(v.number)))
	err := sparksim.Judge(copied, q.settings, rng)
	return func() {
		switch {
		case err == nil:
			s.tally.NaiveRight++
		case errors.Is(err, sparksim.ErrWrong):
			s.tally.NaiveWrong++
		case errors.Is(err, sparksim.ErrDies):
			s.tally.NaiveDead++
		default:
			s.t.Errorf("naive copy: %v", err)
		}
	}
}

var _ checkpoint.Source = sparksim.View{}

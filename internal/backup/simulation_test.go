// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// simulations is how many seeds are run; BACKUP_SIMULATIONS asks for more.
func simulations(t *testing.T) int {
	t.Helper()
	text, set := os.LookupEnv("BACKUP_SIMULATIONS")
	if !set {
		return 300
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("BACKUP_SIMULATIONS is %q; allowed are numbers from 1", text)
	}
	return n
}

// tally counts over all seeds, so that a simulation in which nothing happens
// does not pass.
type tally struct {
	points, removed, collected, crashes, overtaken, tooLong, naiveRight, naiveBad int
}

func TestPointsSurviveEveryInterleaving(t *testing.T) {
	var total tally
	for seed := range simulations(t) {
		simulate(t, uint64(seed), &total)
	}
	t.Logf("%+v", total)
	for name, n := range map[string]int{
		"points made": total.points, "points removed": total.removed, "objects collected": total.collected,
		"crashes": total.crashes, "overtaken cuts": total.overtaken, "runs that took too long": total.tooLong,
		"naive copies that were right": total.naiveRight, "naive copies that were not": total.naiveBad,
	} {
		if n == 0 {
			t.Errorf("in all runs there were no %s: the simulation proves nothing about them", name)
		}
	}
}

type simulation struct {
	t        *testing.T
	rng      *rand.Rand
	world    *world
	store    *objectstoretest.Memory
	schedule objectstoretest.Schedule
	spool    string
	rates    []rate
	freezes  int
	tally    *tally
	actors   int
	running  map[string]int
	live     []*objectstoretest.Process
	judged   map[string][]string // objects by point
	ended    chan func()
	// overtaken counts files that were not what the plan saw.
	overtaken atomic.Int64
}

func simulate(t *testing.T, seed uint64, total *tally) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	spool := objectstoretest.SpoolDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{
			t: t, rng: rand.New(rand.NewPCG(seed, 1)), world: newWorld(), spool: spool, tally: total,
			store:   &objectstoretest.Memory{Now: func() time.Time { return time.Now().Truncate(time.Second) }},
			running: map[string]int{}, judged: map[string][]string{}, ended: make(chan func(), 100),
		}
		s.drawRates()
		for range 1500 {
			s.step()
			if t.Failed() {
				break
			}
		}
		s.killAll()
		total.overtaken += int(s.overtaken.Load())
	})
}

// rate is how often one kind of thing happens, out of 200 steps.
type rate struct {
	weight int
	do     func()
}

// drawRates makes seeds differ: busy and idle queries, rare and frequent prunes,
// long and short runs.
func (s *simulation) drawRates() {
	s.rates = []rate{
		{1 + s.rng.IntN(60), func() {
			s.world.advance(s.rng)
			time.Sleep(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
		}},
		{4 + s.rng.IntN(12), func() { s.start("backup", 2, s.backup) }},
		{2 + s.rng.IntN(12), func() { s.start("prune", 2, s.prune) }},
		{4, func() { s.start("naive", 1, s.naive) }},
		{1 + s.rng.IntN(6), func() { time.Sleep(time.Duration(s.rng.IntN(40)) * time.Hour) }},
	}
	s.freezes = s.rng.IntN(12)
}

// step waits until everybody waits, and then lets one thing happen.
func (s *simulation) step() {
	synctest.Wait()
	s.drain()
	n := s.rng.IntN(200)
	for _, choice := range s.rates {
		if n -= choice.weight; n < 0 {
			choice.do()
			return
		}
	}
	s.grant()
}

func (s *simulation) drain() {
	for {
		select {
		case report := <-s.ended:
			report()
		default:
			return
		}
	}
}

func (s *simulation) grant() {
	r := s.schedule.Next(s.rng)
	if r == nil {
		return
	}
	v := objectstoretest.Proceed
	switch n := s.rng.IntN(300); {
	case n < 2:
		v = objectstoretest.CrashBefore + objectstoretest.Verdict(n)
		s.tally.crashes++
	case n < 2+s.freezes && r.Name != "Thaw":
		v = objectstoretest.Freeze
	}
	r.Grant(v)
	synctest.Wait()
	if r.Name == "Put" || r.Name == "Delete" {
		s.check()
	}
}

// start runs a process that ends by itself or by a crash.
func (s *simulation) start(kind string, most int, run func(*objectstoretest.Process) func()) {
	if s.running[kind] >= most {
		return
	}
	s.running[kind]++
	s.actors++
	a := objectstoretest.NewProcess(s.actors, &s.schedule, s.store)
	s.live = append(s.live, a)
	go func() {
		report := run(a)
		s.ended <- func() {
			s.running[kind]--
			report()
		}
	}()
}

// killAll ends what still runs: the bubble must be empty at the end.
func (s *simulation) killAll() {
	for _, a := range s.live {
		a.Kill()
	}
	for {
		synctest.Wait()
		s.drain()
		r := s.schedule.Next(s.rng)
		if r == nil {
			return
		}
		r.Grant(objectstoretest.CrashBefore)
	}
}

func (s *simulation) repository(a *objectstoretest.Process) *Repository {
	repo, err := Open(a, Options{Prefix: "p", Owner: owner.UID, Spool: s.spool, Concurrency: 2})
	if err != nil {
		s.t.Error(err)
	}
	return repo
}

func (s *simulation) backup(a *objectstoretest.Process) func() {
	_, err := s.repository(a).Backup(context.Background(), BackupOptions{Holder: owner, Plan: s.plan(a), Attempts: 3})
	return func() {
		switch {
		case errors.Is(err, ErrDamaged):
			s.t.Errorf("a backup found its own point damaged: %v", err)
		case errors.Is(err, ErrTooLong) || errors.Is(err, context.DeadlineExceeded):
			s.tally.tooLong++
		}
	}
}

func (s *simulation) prune(a *objectstoretest.Process) func() {
	report, err := s.repository(a).Prune(context.Background(), PruneOptions{Holder: owner, KeepFor: 30 * time.Hour})
	return func() {
		if report != nil && err == nil {
			s.tally.removed += len(report.Removed)
			s.tally.collected += int(report.CollectedObjects)
			if report.Blocked != "" {
				s.t.Errorf("a prune was blocked: %s", report.Blocked)
			}
		}
	}
}

// plan lists one directory after the other, with the query running in between.
func (s *simulation) plan(a *objectstoretest.Process) Plan {
	return func(ctx context.Context) ([]Cut, error) {
		seen := map[string]fakeFile{}
		for _, dir := range []string{"commits/", "offsets/", "state/0/0/", "state/0/1/", "metadata"} {
			if _, err := a.Turn(ctx, "Plan", dir); err != nil {
				return nil, err
			}
			for name, file := range s.world.files {
				if strings.HasPrefix(name, dir) {
					seen[name] = file
				}
			}
		}
		batch, names, err := restorableSet(slices.Collect(maps.Keys(seen)))
		if err != nil {
			return nil, err
		}
		var files []File
		for _, name := range names {
			f := seen[name]
			files = append(files, File{Path: name, Size: int64(len(f.content)), ModTime: f.modTime, Tag: fmt.Sprint(f.inode)})
		}
		info := RootInfo{Root: ".", QueryID: "simulated", Batch: int64(batch), Provider: "hdfs"}
		return []Cut{{RootInfo: info, Files: FilesOf(files), Open: s.open(a)}}, nil
	}
}

func (s *simulation) open(a *objectstoretest.Process) func(context.Context, File) (io.ReadCloser, error) {
	return func(ctx context.Context, f File) (io.ReadCloser, error) {
		if _, err := a.Turn(ctx, "Open", f.Path); err != nil {
			return nil, err
		}
		file, there := s.world.files[f.Path]
		if !there {
			s.overtaken.Add(1)
			return nil, fs.ErrNotExist
		}
		if fmt.Sprint(file.inode) != f.Tag {
			s.overtaken.Add(1)
			return nil, ErrOvertaken
		}
		return io.NopCloser(strings.NewReader(file.content)), nil
	}
}

// naive copies the live root as a recursive copy does.
func (s *simulation) naive(a *objectstoretest.Process) func() {
	copied := map[string]string{}
	for _, dir := range []string{"commits/", "metadata", "offsets/", "state/0/0/", "state/0/1/"} {
		if _, err := a.Turn(context.Background(), "List", dir); err != nil {
			return func() {}
		}
		for _, name := range slices.Sorted(maps.Keys(s.world.files)) {
			if !strings.HasPrefix(name, dir) {
				continue
			}
			if _, err := a.Turn(context.Background(), "Open", name); err != nil {
				return func() {}
			}
			if file, there := s.world.files[name]; there {
				copied[name] = file.content
			}
		}
	}
	err := judge(copied)
	return func() {
		if err != nil {
			s.tally.naiveBad++
		} else {
			s.tally.naiveRight++
		}
	}
}

// check looks at every manifest that exists: it restores, the query starts on
// it with the right state, and nothing it names is missing.
func (s *simulation) check() {
	there := map[string]bool{}
	for _, key := range s.store.Keys() {
		there[key] = true
	}
	for key := range there {
		id, ok := pointID(key)
		if !ok || !strings.Contains(key, "/"+pointsDir) {
			continue
		}
		if s.judged[id] == nil {
			s.judged[id] = s.restore(id)
			s.tally.points++
		}
		for _, object := range s.judged[id] {
			if !there["p/"+owner.UID+"/"+object] {
				s.t.Errorf("point %s names %s, which is gone", id, object)
			}
		}
	}
}

// restore reads a point without waiting for turns and returns what it names.
func (s *simulation) restore(id string) (objects []string) {
	repo, err := Open(s.store, Options{Prefix: "p", Owner: owner.UID, Spool: s.spool})
	if err != nil {
		s.t.Fatal(err)
	}
	m, _, err := repo.manifest(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := repo.fetchList(context.Background(), m.Roots[0].List)
	if err != nil {
		s.t.Errorf("point %s: %v", id, err)
		return []string{m.Roots[0].List.Key}
	}
	defer list.close()
	objects = append(objects, m.Roots[0].List.Key)
	files := map[string]string{}
	for e, err := list.next(); e != nil || err != nil; e, err = list.next() {
		if err != nil {
			s.t.Errorf("point %s: %v", id, err)
			return objects
		}
		objects = append(objects, e.Object)
		files[e.Path] = s.content(e)
	}
	if err := judge(files); err != nil {
		s.t.Errorf("point %s: %v", id, err)
	}
	return objects
}

func (s *simulation) content(e *entry) string {
	body, _, err := s.store.Get(context.Background(), "p/"+owner.UID+"/"+e.Object, objectstore.Range{Offset: e.Offset, Length: e.Size})
	if err != nil {
		s.t.Errorf("%s: %v", e.Path, err)
		return ""
	}
	content, err := io.ReadAll(verifying(e, body))
	if err != nil {
		s.t.Errorf("%s: %v", e.Path, err)
	}
	return string(content)
}

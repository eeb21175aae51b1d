// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// simulations is how many seeds are run from 0 on; BACKUP_SIMULATIONS asks for
// more, and BACKUP_SIMULATION_SEED for one alone.
func simulations(t *testing.T) (first, n uint64) {
	t.Helper()
	number := func(name string, otherwise uint64) uint64 {
		text, set := os.LookupEnv(name)
		if !set {
			return otherwise
		}
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatalf("%s is %q; allowed are numbers from 0", name, text)
		}
		return n
	}
	if seed := number("BACKUP_SIMULATION_SEED", 1<<40); seed != 1<<40 {
		return seed, 1
	}
	return 0, number("BACKUP_SIMULATIONS", 80)
}

// tally counts over all seeds, so that a simulation in which nothing happens does
// not pass.
type tally struct {
	Points, Removed, Collected, Crashes, Overtaken, TooLong, Kills, Rewinds int
	NaiveRight, NaiveDead, NaiveWrong                                       int
}

// Backups and prunes of the agent run beside streaming queries that write, keep,
// clean up, are killed and rewound; any of them may crash or freeze at any step.
// Whatever comes of it: each manifest that exists restores to roots that verify and
// that the query goes on from with the right results, and what a manifest names is
// never missing. Recursive copies of the same roots show what happens otherwise.
func TestPointsSurviveEveryInterleaving(t *testing.T) {
	first, n := simulations(t)
	var total tally
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		simulate(t, seed, &total)
	}
	t.Logf("seeds %d to %d: %+v", first, first+n-1, total)
	if n == 1 {
		return
	}
	for name, n := range map[string]int{
		"points made": total.Points, "points removed": total.Removed, "objects collected": total.Collected,
		"crashes": total.Crashes, "overtaken cuts": total.Overtaken, "runs that took too long": total.TooLong,
		"killed drivers": total.Kills, "rewinds": total.Rewinds, "naive copies that were right": total.NaiveRight,
		"naive copies that do not start": total.NaiveDead, "naive copies that are silently wrong": total.NaiveWrong,
	} {
		if n == 0 {
			t.Errorf("in all runs there were no %s: the simulation proves nothing about them", name)
		}
	}
}

// One seed is one history, down to the order of the requests.
func TestSimulationReplays(t *testing.T) {
	var counts [2]tally
	var traces [2]uint64
	for i := range traces {
		for seed := range uint64(3) {
			traces[i] ^= simulate(t, seed, &counts[i])
		}
	}
	if traces[0] != traces[1] || counts[0] != counts[1] {
		t.Errorf("the same seeds gave %+v and then %+v, traces %x and %x", counts[0], counts[1], traces[0], traces[1])
	}
}

type simulation struct {
	t        *testing.T
	seed     uint64
	rng      *rand.Rand
	queries  []*simulatedQuery
	store    *objectstoretest.Memory
	schedule objectstoretest.Schedule
	spool    string
	chances  []chance
	freezes  int
	// pace is how many operations of a query come at a time, at most.
	pace    int
	tally   *tally
	actors  int
	running map[string]int
	live    []*objectstoretest.Process
	ended   chan func()
	// points are the keys that each point names; named counts the points by key.
	points map[string][]string
	named  map[string]int
	trace  hash.Hash64
	// overtaken counts files that were not what the plan saw.
	overtaken atomic.Int64
}

const stepsOfSimulation = 1500

func simulate(t *testing.T, seed uint64, total *tally) (trace uint64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("replay with BACKUP_SIMULATION_SEED=%d", seed)
		}
	}()
	spool := objectstoretest.SpoolDir(t)
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{
			t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), spool: spool, tally: total,
			store:   &objectstoretest.Memory{Now: func() time.Time { return time.Now().Truncate(time.Second) }},
			running: map[string]int{}, ended: make(chan func(), 100),
			points: map[string][]string{}, named: map[string]int{}, trace: fnv.New64a(),
		}
		s.draw()
		for range stepsOfSimulation {
			s.step()
			if t.Failed() {
				break
			}
		}
		s.killAll()
		total.Overtaken += int(s.overtaken.Load())
		trace = s.trace.Sum64()
	})
	return trace
}

// chance is how often one kind of thing happens, out of 200 steps.
type chance struct {
	weight int
	do     func()
}

// draw makes seeds differ: one query or two, busy or idle, rare and frequent
// prunes, long and short runs.
func (s *simulation) draw() {
	names := [][]string{{"."}, {"orders"}, {"orders", "returns"}}
	for _, name := range names[s.rng.IntN(len(names))] {
		s.queries = append(s.queries, newSimulatedQuery(name, s.rng))
	}
	s.chances = []chance{
		{1 + s.rng.IntN(60), s.goOn},
		{4 + s.rng.IntN(12), func() { s.start("backup", 2, s.backup) }},
		{2 + s.rng.IntN(12), func() { s.start("prune", 2, s.prune) }},
		{2, func() { s.start("naive", 1, s.naive) }},
		{1 + s.rng.IntN(6), func() { time.Sleep(time.Duration(s.rng.IntN(40)) * time.Hour) }},
	}
	s.freezes, s.pace = s.rng.IntN(12), 1+s.rng.IntN(100)
}

// goOn lets time pass in which the queries work.
func (s *simulation) goOn() {
	for _, q := range s.queries {
		for range s.rng.IntN(s.pace + 1) {
			if err := q.advance(s.rng, s.tally); err != nil {
				s.t.Error(err)
				return
			}
		}
	}
	time.Sleep(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
}

// step waits until everybody waits, and then lets one thing happen.
func (s *simulation) step() {
	synctest.Wait()
	s.drain()
	n := s.rng.IntN(200)
	for _, choice := range s.chances {
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
		s.tally.Crashes++
	case n < 2+s.freezes && r.Name != "Thaw":
		v = objectstoretest.Freeze
	}
	fmt.Fprintln(s.trace, r.Name, r.Key, v, time.Now())
	r.Grant(v)
	synctest.Wait()
	if r.Name == "Put" || r.Name == "Delete" || r.Name == "Thaw" {
		s.saw(r.Name, r.Key)
	}
}

// start runs a process that ends by itself or by a crash.
func (s *simulation) start(kind string, most int, run func(volume) func()) {
	if s.running[kind] >= most {
		return
	}
	s.running[kind]++
	s.actors++
	a := objectstoretest.NewProcess(s.actors, &s.schedule, s.store)
	s.live = append(s.live, a)
	v := volume{simulation: s, process: a, hurry: 70 + s.rng.Uint64N(30), number: s.actors}
	go func() {
		report := run(v)
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

var simulated = backup.Holder{UID: "simulated", Cluster: "c", Namespace: "shop", Name: "clicks"}

func (s *simulation) repository(v volume) *repository {
	repo, err := backup.Open(v.process, backup.Options{Prefix: "p", Owner: simulated.UID, Spool: s.spool, Concurrency: 2})
	if err != nil {
		s.t.Error(err)
	}
	return &repository{Repository: repo, holder: simulated}
}

// backup is the work of the command.
func (s *simulation) backup(v volume) func() {
	repo, p := s.repository(v), &planner{at: v}
	before := map[string]progressed{}
	err := (&backupCommand{}).claim(context.Background(), repo, p)
	var m *backup.Manifest
	if err == nil {
		for _, q := range s.queries {
			before[q.name] = progressed{q.newestCommit(), q.generation}
		}
		m, err = repo.Backup(context.Background(), backup.BackupOptions{Holder: simulated, Plan: p.plan, Attempts: 3})
	}
	return func() {
		switch {
		case errors.Is(err, backup.ErrDamaged):
			s.t.Errorf("a backup found its own point damaged: %v", err)
		case CodeOf(err) == CodeFinding:
			s.t.Errorf("a backup found the live root damaged: %v", err)
		case errors.Is(err, backup.ErrTooLong) || errors.Is(err, context.DeadlineExceeded):
			s.tally.TooLong++
		}
		if m != nil {
			s.expectNewest(m, before)
		}
	}
}

// progressed is the newest batch that a query had committed, in one of its timelines.
type progressed struct {
	batch      int64
	generation int
}

// expectNewest holds a point against what was committed when its backup began,
// unless the query was rewound since.
func (s *simulation) expectNewest(m *backup.Manifest, before map[string]progressed) {
	for _, root := range m.Roots {
		q, then := s.query(root.Root), before[root.Root]
		if q.generation == then.generation && root.Batch < then.batch {
			s.t.Errorf("point %s has batch %d of %s; batch %d was committed when the backup began", m.ID, root.Batch, root.Root, then.batch)
		}
	}
}

func (s *simulation) prune(v volume) func() {
	report, err := s.repository(v).Prune(context.Background(), backup.PruneOptions{Holder: simulated, KeepFor: 30 * time.Hour})
	return func() {
		if report != nil && err == nil {
			s.tally.Removed += len(report.Removed)
			s.tally.Collected += int(report.CollectedObjects)
			if report.Blocked != "" {
				s.t.Errorf("a prune was blocked: %s", report.Blocked)
			}
		}
	}
}

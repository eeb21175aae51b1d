// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// settings come from the environment.
type settings struct {
	sample   int // runs to draw; 0: all
	seed     uint64
	parallel int
	only     string
}

func readSettings(t *testing.T) settings {
	t.Helper()
	number := func(name string, otherwise uint64) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: found %q; allowed: a number", name, text)
		}
		return n
	}
	return settings{sample: int(number("FAULTS_SAMPLE", 60)), seed: number("FAULTS_SEED", 1),
		parallel: int(number("FAULTS_PARALLEL", 16)), only: os.Getenv("FAULTS_ONLY")}
}

// trial is a disturbed run to make.
type trial struct {
	workload workload
	plan     []strike
}

func (t trial) String() string {
	name := t.workload.name
	for _, s := range t.plan {
		name += " " + s.String()
	}
	return name
}

// replays are runs that once failed. They are part of every sample;
// docs/faults.md tells what they found.
var replays = []string{
	"create killed@POST /api/v1/namespaces/NS/secrets#1",
	"change-restart conflict@DELETE /apis/apps/v1/namespaces/NS/controllerrevisions/orders-r-HEX#1",
	"change-restart conflict@PATCH /apis/sparkoperator.k8s.io/v1beta2/namespaces/NS/sparkapplications/orders#1",
	"edit-dedicated denied@PATCH /apis/sparkpipeline.dev/v1alpha1/namespaces/NS/sparkpipelines/orders/status#6",
	"delete-retain-dedicated lost@PATCH /apis/sparkpipeline.dev/v1alpha1/namespaces/NS/sparkpipelines/orders/status#6",
}

// sampled shuffles the trials and keeps so many, the replays first; 0 keeps all.
func sampled(draw *rand.Rand, trials []trial, n int) []trial {
	draw.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
	slices.SortStableFunc(trials, func(a, b trial) int {
		return cmp.Compare(slices.Index(replays, b.String()), slices.Index(replays, a.String()))
	})
	if n == 0 || n > len(trials) {
		return trials
	}
	return trials[:n]
}

// reference is what undisturbed runs of a workload have in common.
type reference struct {
	workload workload
	record   record
	points   []point
}

// Each write of each workload meets each fault; what becomes of the pipeline is
// what becomes of it without faults.
func TestFaultAtEveryWrite(t *testing.T) {
	s := readSettings(t)
	t.Logf("FAULTS_SEED=%d FAULTS_SAMPLE=%d FAULTS_PARALLEL=%d", s.seed, s.sample, s.parallel)
	start := time.Now()
	references := refer(t, s)
	var trials []trial
	points := 0
	for _, ref := range references {
		points += len(ref.points)
		for _, p := range ref.points {
			for _, f := range allFaults {
				trials = append(trials, trial{ref.workload, []strike{{p, f}}})
			}
		}
	}
	draw := rand.New(rand.NewPCG(s.seed, 1))
	trials = append(trials, doubles(draw, references, len(trials)/20)...)
	all := len(trials)
	if s.only != "" {
		trials = slices.DeleteFunc(trials, func(x trial) bool { return !strings.HasPrefix(x.String(), s.only) })
		if len(trials) == 0 {
			t.Fatalf("FAULTS_ONLY: no run has a name that begins with %q", s.only)
		}
	} else {
		trials = sampled(draw, trials, s.sample)
	}
	t.Logf("%d workloads have %d writes; %d runs of %d; references took %s", len(references), points, len(trials), all, time.Since(start).Round(time.Second))
	judge(t, s, references, trials)
}

// refer runs each workload without faults. Before all runs are made it does so
// twice, so that what no two runs have in common is found.
func refer(t *testing.T, s settings) map[string]reference {
	t.Helper()
	out := map[string]reference{}
	var mu sync.Mutex
	var todo []func()
	for _, w := range workloads() {
		if s.only != "" && w.name != strings.Fields(s.only)[0] {
			continue
		}
		todo = append(todo, func() {
			first := perform(w, nil)
			second := first
			if s.sample == 0 {
				second = perform(w, nil)
			}
			problems := slices.Concat(first.problems, compare(second, first), compare(first, second))
			if len(problems) > 0 {
				t.Errorf("%s without faults:\n%s", w.name, strings.Join(problems, "\n"))
				return
			}
			points := slices.DeleteFunc(slices.Clone(first.writes), func(p point) bool { return !slices.Contains(second.writes, p) })
			slices.SortFunc(points, func(a, b point) int { return compareStrings(a.String(), b.String()) })
			mu.Lock()
			defer mu.Unlock()
			out[w.name] = reference{w, first, points}
			t.Logf("%-26s %3d writes, %d objects touched, %s", w.name, len(points), len(first.tallies), first.took.Round(100*time.Millisecond))
		})
	}
	side(s.parallel, todo)
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// doubles draws pairs of writes that the operator dies at.
func doubles(draw *rand.Rand, references map[string]reference, n int) []trial {
	var out []trial
	for _, w := range workloads() {
		ref := references[w.name]
		if len(ref.points) < 2 {
			continue
		}
		for range n/len(references) + 1 {
			i, j := draw.IntN(len(ref.points)), draw.IntN(len(ref.points))
			if i != j {
				out = append(out, trial{ref.workload, []strike{{ref.points[i], killed}, {ref.points[j], killed}}})
			}
		}
	}
	return out
}

// judge makes the runs and holds each against its reference.
func judge(t *testing.T, s settings, references map[string]reference, trials []trial) {
	t.Helper()
	start := time.Now()
	var mu sync.Mutex
	var missed, failed, deaths int
	var todo []func()
	for _, x := range trials {
		todo = append(todo, func() {
			got := perform(x.workload, x.plan)
			problems := compare(references[x.workload.name].record, got)
			mu.Lock()
			defer mu.Unlock()
			deaths += max(got.lives-2, 0)
			if len(got.struck) == 0 && len(problems) == 0 {
				missed++
			}
			if len(problems) > 0 {
				failed++
				t.Errorf("%s\n  replay: FAULTS_SEED=%d FAULTS_ONLY=%q\n%s", x, s.seed, x.String(), strings.Join(problems, "\n"))
			}
		})
	}
	side(s.parallel, todo)
	t.Log(fmt.Sprintf("%d runs: %d failed, %d met no fault, the operator died %d times; %s",
		len(trials), failed, missed, deaths, time.Since(start).Round(time.Second)))
	// Which write of a status comes how often depends on timing; all others come.
	if missed*5 > len(trials) {
		t.Errorf("%d of %d runs met no fault: the points no longer name what the operator sends", missed, len(trials))
	}
}

// side does what there is to do, so many side by side.
func side(width int, todo []func()) {
	slots := make(chan struct{}, max(width, 1))
	var wg sync.WaitGroup
	for _, do := range todo {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			do()
		}()
	}
	wg.Wait()
}

// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/recording"
	"sparkpipeline.dev/operator/test/kubeflow/simulation"
)

// The recordings in testdata/traces were made with the real controller and real
// Spark. Each is replayed: the same application, the same situation at the
// beginning, the same actions of a person or a failure. Then is compared, in the
// order of etcd's revisions, which no watch can blur:
//
//   - applications and drivers in one sequence: each application's state, error
//     message and both counters, and its deletion; each driver pod's phase, exit
//     code of its container or its init container, readiness, deletion requested,
//     and removal;
//   - drivers and StatefulSets in one sequence: replicas, appearance, removal.
//     Applications and StatefulSets have no order among themselves: the controller
//     does not look at StatefulSets;
//   - where the recording is about executors, each executor pod's own sequence:
//     phase, exit code, restarts, registrations, deletion requested, removal.
//
// A StatefulSet's ready count, the application's executor states and anything that
// depends on how long something took are not compared.
const traces = "testdata/traces"

const appName = "orders"

// replay is one recording on its way.
type replay struct {
	*world
	events   []recording.Event
	recorded []recording.Moment
}

var _ = Describe("The recordings", func() {
	files, err := filepath.Glob(filepath.Join(traces, "*.jsonl"))
	if err != nil || len(files) == 0 {
		panic(fmt.Sprintf("no recordings in %s: %v", traces, err))
	}
	names := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		names[name] = true
		It("replays "+name, func() {
			s, ok := scenarios[name]
			Expect(ok).To(BeTrue(), "%s has no scenario; add what was done when it was recorded", file)
			run(file, s)
		})
	}
	It("has a recording for every scenario", func() {
		for name := range maps.Keys(scenarios) {
			Expect(names).To(HaveKey(name))
		}
	})
})

func run(file string, s scenario) {
	f, err := os.Open(file)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	r := &replay{}
	r.events, err = recording.Read(f)
	Expect(err).NotTo(HaveOccurred())
	r.events = recording.Sorted(r.events)
	r.recorded = recording.Tell(r.events)
	r.world = newWorld(newPace(s.executors))
	r.spark.SetScript(r.key(appName), s.script)
	if r.recorded[0].Initial {
		r.arrange()
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	r.recorder, err = recording.Record(ctx, admin, r.namespace)
	Expect(err).NotTo(HaveOccurred())
	r.pace.follow(r.recorded, r.recorder)
	s.act(r)
	r.awaitAll(s)
	r.compare(s)
}

// application is the nth application that was recorded, as it first appeared.
func (r *replay) application(n int) *sparkapi.SparkApplication {
	seen := map[string]bool{}
	for _, e := range r.events {
		if e.Application == nil || seen[string(e.Application.UID)] {
			continue
		}
		seen[string(e.Application.UID)] = true
		if len(seen) == n {
			return e.Application
		}
	}
	Fail(fmt.Sprintf("the recording has no application %d", n))
	return nil
}

// arrange brings about what there was when the recording began: the counters, the
// executors and their restarts.
func (r *replay) arrange() {
	recorded := r.application(1)
	r.create(recorded)
	r.settled(*recorded.Spec.Executor.Instances)
	for r.app().Status.ExecutionAttempts < recorded.Status.ExecutionAttempts {
		n := r.app().Status.ExecutionAttempts
		r.killDriver()
		Eventually(func() int32 { return r.app().Status.ExecutionAttempts }).Should(Equal(n + 1))
		r.settled(*recorded.Spec.Executor.Instances)
	}
	replicas := *recorded.Spec.Executor.Instances
	for _, e := range r.events {
		if e.Set != nil {
			replicas = *e.Set.Spec.Replicas
			break
		}
	}
	for _, m := range r.recorded {
		if m.Initial && m.Kind == recording.Executor && strings.Contains(m.What, "1 restarts") {
			var set, ordinal, pod int
			_, err := fmt.Sscanf(m.Subject, "%d-%d-%d", &set, &ordinal, &pod)
			Expect(err).NotTo(HaveOccurred())
			r.restartExecutor(ordinal)
		}
	}
	if replicas != *recorded.Spec.Executor.Instances {
		r.scale(replicas)
	}
	r.settled(replicas)
}

func (r *replay) restartExecutor(ordinal int) {
	id := r.executor(ordinal).Labels["spark-exec-id"]
	r.killExecutor(ordinal)
	Eventually(func() string { return r.executor(ordinal).Labels["spark-exec-id"] }).ShouldNot(Equal(id))
}

// awaitAll waits until as much has happened as was recorded.
func (r *replay) awaitAll(s scenario) {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	err := r.recorder.Until(ctx, func() bool { return happened(r.recorder, r.recorded, s.executors) })
	if err != nil {
		Fail(fmt.Sprintf("not all happened that was recorded.\nRecorded:\n%s\nReplayed:\n%s", list(r.recorded), list(r.recorder.Moments())))
	}
}

func (r *replay) compare(s scenario) {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	Expect(r.recorder.CatchUp(ctx)).To(Succeed())
	replayed := r.recorder.Moments()
	Expect(initial(replayed)).To(ConsistOf(initial(r.recorded)), "the situation at the beginning")
	Expect(of(replayed, recording.Application, recording.Driver)).To(Equal(of(r.recorded, recording.Application, recording.Driver)))
	Expect(of(replayed, recording.Driver, recording.Set)).To(Equal(of(r.recorded, recording.Driver, recording.Set)))
	if s.executors {
		got := byExecutor(replayed)
		for subject, recorded := range byExecutor(r.recorded) {
			// A recording ends somewhere; executors may have gone on by now.
			Expect(got[subject][:min(len(recorded), len(got[subject]))]).To(Equal(recorded), "executor %s", subject)
		}
	}
}

// initial are the moments at the beginning, but those of executors.
func initial(all []recording.Moment) []string {
	var texts []string
	for _, m := range all {
		if m.Initial && m.Kind != recording.Executor {
			texts = append(texts, m.String())
		}
	}
	return texts
}

// of are the later moments of some kinds.
func of(all []recording.Moment, kinds ...recording.Kind) []string {
	texts := []string{}
	for _, m := range all {
		if !m.Initial && slices.Contains(kinds, m.Kind) {
			texts = append(texts, m.String())
		}
	}
	return texts
}

func byExecutor(all []recording.Moment) map[string][]string {
	texts := map[string][]string{}
	for _, m := range all {
		if m.Kind == recording.Executor {
			texts[m.Subject] = append(texts[m.Subject], m.What)
		}
	}
	return texts
}

func list(all []recording.Moment) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "  %s\n", m)
	}
	return b.String()
}

// scenario is what was done when a recording was made.
type scenario struct {
	// script is how drivers behave.
	script simulation.Script
	// executors are compared too.
	executors bool
	// act is what was done. It may wait for what it waited for then.
	act func(*replay)
}

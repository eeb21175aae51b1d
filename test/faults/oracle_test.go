// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Windows without a request that a run ends with.
const (
	settled      = 700 * time.Millisecond // before the faults begin
	quietAfter   = 5 * time.Second        // after the end state
	quietRestart = time.Second            // after one more restart
	runDeadline  = 3 * time.Minute
)

// record is what a run left.
type record struct {
	writes   []point
	struck   []strike
	state    string
	tallies  map[string]tally
	problems []string
	lives    int
	took     time.Duration
}

// perform runs a workload with a plan of faults, and holds the run against all that
// must be true of every run.
func perform(w workload, plan []strike) (out record) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), runDeadline)
	defer cancel()
	fail := func(what string, err error) record {
		out.problems = append(out.problems, fmt.Sprintf("%s: %v", what, err))
		return out
	}
	r, err := newRun(ctx, w.dedicated)
	if err != nil {
		return fail("begin", err)
	}
	defer func() {
		r.end()
		r.mu.Lock()
		defer r.mu.Unlock()
		out.lives, out.took = len(r.all), time.Since(start)
		out.problems = append(out.problems, r.breaches...)
		r.wire.mu.Lock()
		defer r.wire.mu.Unlock()
		out.problems = append(out.problems, r.wire.breaches...)
		out.struck = r.wire.struck
	}()
	if !w.fresh {
		if err := prepare(ctx, r, w); err != nil {
			return fail("prepare", err)
		}
	}
	r.forget()
	r.wire.arm(plan)
	if err := w.do(ctx, r); err != nil {
		return fail("reach the end state", err)
	}
	if err := r.quiet(ctx, quietAfter); err != nil {
		return fail("be quiet", err)
	}
	r.wire.mu.Lock()
	out.writes = slices.Clone(r.wire.writes)
	r.wire.mu.Unlock()
	if err := r.finish(ctx, w, &out); err != nil {
		return fail("finish", err)
	}
	return out
}

// prepare makes a pipeline that is Ready and lets it settle.
func prepare(ctx context.Context, r *run, w workload) error {
	p, err := r.describe(w)
	if err != nil {
		return err
	}
	if err := base.admin.Create(ctx, p); err != nil {
		return err
	}
	if err := r.until(ctx, isReady("Ready")); err != nil {
		return err
	}
	return r.quiet(ctx, settled)
}

// finish takes the account of a run that is quiet, and sees that another restart
// finds nothing to do.
func (r *run) finish(ctx context.Context, w workload, out *record) error {
	out.tallies = r.tallies()
	leaks, err := r.leaks()
	if err != nil {
		return err
	}
	out.problems = append(out.problems, leaks...)
	out.problems = append(out.problems, r.unexpectedErrors()...)
	if !w.drift {
		out.problems = append(out.problems, r.readyTooEarly()...)
	}
	if out.state, err = r.state(); err != nil {
		return err
	}
	r.wire.mu.Lock()
	before := len(r.wire.writes)
	r.wire.mu.Unlock()
	if err := r.restart(ctx); err != nil {
		return err
	}
	if err := r.quiet(ctx, quietRestart); err != nil {
		return err
	}
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	for _, p := range r.wire.writes[before:] {
		out.problems = append(out.problems, "written after a restart that followed nothing: "+p.String())
	}
	return nil
}

// expected are parts of errors that faults lead to without being quoted.
var expected = []string{
	marker,
	"the cache has not shown the SparkApplication that", // after a lost answer to its creation
	"context canceled",
	"does not belong to this SparkPipeline", // said of objects that others made
}

func (r *run) unexpectedErrors() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, line := range r.log {
		if !slices.ContainsFunc(expected, func(part string) bool { return strings.Contains(line, part) }) {
			out = append(out, "unexpected error in the log: "+line)
		}
	}
	return out
}

// readyTooEarly looks for children that were made, changed or removed although the
// pipeline was Ready with the newest generation at that time.
func (r *run) readyTooEarly() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var pipeline []*unstructured.Unstructured
	for _, c := range r.history {
		if c.object().GetKind() == "SparkPipeline" && c.after != nil {
			pipeline = append(pipeline, c.after)
		}
	}
	var out []string
	for _, c := range r.history {
		o := c.object()
		if kind := o.GetKind(); kind == "SparkPipeline" || kind == "Pod" || c.before != nil && c.after != nil && !c.touched() {
			continue
		}
		var then *unstructured.Unstructured
		for _, p := range pipeline {
			if version(p) < version(o) {
				then = p
			}
		}
		if then != nil && then.GetDeletionTimestamp() == nil && saysReady(then) && c.after != nil {
			out = append(out, fmt.Sprintf("%s was written while the pipeline was Ready with generation %d", r.nameOf(o), then.GetGeneration()))
		}
	}
	return out
}

// saysReady says that Ready is true for the newest generation.
func saysReady(p *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(p.Object, "status", "conditions")
	for _, x := range conditions {
		c := x.(map[string]any)
		if c["type"] == "Ready" && c["status"] == "True" && c["observedGeneration"] == p.GetGeneration() && c["reason"] == "Ready" {
			return true
		}
	}
	return false
}

// compare holds a disturbed run against an undisturbed one.
func compare(want, got record) []string {
	problems := slices.Clone(got.problems)
	if len(got.problems) > 0 && got.state == "" {
		return problems
	}
	if d := difference(want.state, got.state); d != "" {
		problems = append(problems, "the end state differs:\n"+d)
	}
	names := map[string]bool{}
	for n := range want.tallies {
		names[n] = true
	}
	for n := range got.tallies {
		names[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		a, b := want.tallies[n], got.tallies[n]
		// Less is no fault: whether the autoscaler goes with a driver that is replaced
		// at once depends on who is faster.
		if a.created-a.deleted != b.created-b.deleted || a.created < b.created || a.updated < b.updated {
			problems = append(problems, fmt.Sprintf("%s was created, updated, deleted %v times, without faults %v", n, b, a))
		}
	}
	return problems
}

// difference shows the first lines in which two states differ, with the object
// that they belong to.
func difference(want, got string) string {
	const most = 12
	a, b := parts(want), parts(got)
	var out []string
	names := map[string]bool{}
	for n := range a {
		names[n] = true
	}
	for n := range b {
		names[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if a[n] == b[n] {
			continue
		}
		out = append(out, n)
		x, y := strings.Split(a[n], "\n"), strings.Split(b[n], "\n")
		for _, line := range x {
			if !slices.Contains(y, line) {
				out = append(out, "  - "+shortened(line))
			}
		}
		for _, line := range y {
			if !slices.Contains(x, line) {
				out = append(out, "  + "+shortened(line))
			}
		}
	}
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("  and %d lines more", len(out)-most))
	}
	return strings.Join(out, "\n")
}

func shortened(line string) string {
	const most = 200
	if len(line) > most {
		return line[:most] + "..."
	}
	return line
}

func parts(state string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.Split(state, "--- ") {
		name, text, _ := strings.Cut(part, "\n")
		out[name] += text
	}
	return out
}

// goroutinesLeft names goroutines of operators, which have all been stopped.
func goroutinesLeft() string {
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		stacks := make([]byte, 16<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = nil
		for _, s := range strings.Split(string(stacks), "\n\n") {
			if strings.Contains(s, "cache.newMultiNamespaceInformerHandlerRegistration") {
				continue // controller-runtime waits for ever for a cache that was stopped before it had synced.
			}
			if strings.Contains(s, "sparkpipeline.dev/operator/internal/") || strings.Contains(s, "sigs.k8s.io/controller-runtime/pkg/") &&
				!strings.Contains(s, "controller-runtime/pkg/envtest") && !strings.Contains(s, "controller-runtime/pkg/internal/testing") {
				left = append(left, s)
			}
		}
		if len(left) == 0 {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
}

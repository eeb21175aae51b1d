// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Bar is what a figure is to reach.
type Bar struct {
	Figure string
	// What it is, in words.
	What string
	// N at which it is judged.
	N int
	// Limit that the figure may not exceed, or with AtLeast not fall below.
	Limit   float64
	AtLeast bool
	// Gate: a miss fails the bench. Counts and ratios gate; seconds, which depend
	// on what else the machine does, are shown.
	Gate bool
}

// Bars in the order of the table.
var Bars = []Bar{
	{Figure: "burst.ratioToFloor", What: "burst: speed over that of a bare apply loop over the same bytes", N: 100, Limit: 0.6, AtLeast: true, Gate: true},
	{Figure: "burst.writesOverChildren", What: "burst: writes per pipeline beyond its children", N: 100, Limit: 2, Gate: true},
	{Figure: "burst.readsOverChildren", What: "burst: reads per pipeline beyond its children", N: 100, Limit: 0, Gate: true},
	{Figure: "burst.slope", What: "burst: slope of cost against N, log-log", N: 1000, Limit: 1.05},
	{Figure: "burst.pipelinesPerSecond", What: "burst: pipelines per second", N: 1000, Limit: 0, AtLeast: true},
	{Figure: "quiet.requests", What: "quiet: requests, through status noise and a forced resync", N: 100, Limit: 0, Gate: true},
	{Figure: "drift.appliesPerDrift", What: "an edited child: applies", N: 100, Limit: 1, Gate: true},
	{Figure: "drift.readsPerEdit", What: "an edited child: reads", N: 100, Limit: 0, Gate: true},
	{Figure: "drift.readsPerDeletion", What: "a deleted child: reads", N: 100, Limit: 1, Gate: true},
	{Figure: "drift.requestsPerForeignField", What: "a foreign field: requests", N: 100, Limit: 0, Gate: true},
	{Figure: "drift.othersTouched", What: "drift: other objects touched", N: 100, Limit: 0, Gate: true},
	{Figure: "drift.p50Ms", What: "repair of one child: median, ms", N: 1000, Limit: 30},
	{Figure: "drift.p99Ms", What: "repair of one child: 99th percentile, ms", N: 1000, Limit: 250},
	{Figure: "drift.stormP99Ms", What: "repair of 100 children at once: 99th percentile, ms", N: 1000, Limit: 1000},
	{Figure: "specChange.childrenTouched", What: "one field of the spec that one child depends on: children touched", N: 100, Limit: 1, Gate: true},
	{Figure: "specChange.statusPatches", What: "the same: status patches", N: 100, Limit: 1, Gate: true},
	{Figure: "memory.mibPer1000", What: "heap per 1000 pipelines, MiB", N: 1000, Limit: 60},
	{Figure: "memory.leftOverPercent", What: "heap after all were deleted, over the start, percent", N: 1000, Limit: 20},
	{Figure: "restart.writes", What: "restart: writes", N: 100, Limit: 0, Gate: true},
	{Figure: "restart.healed", What: "restart: children edited meanwhile that were healed, of 1", N: 100, Limit: 1, AtLeast: true, Gate: true},
	{Figure: "restart.firstNewMs", What: "restart: until a new pipeline is applied, ms from the process' start", N: 1000, Limit: 2000},
	{Figure: "failover.gapMs", What: "leader killed: until the standby repairs, ms", N: 1000, Limit: 20000},
	{Figure: "failover.missed", What: "leader killed: drifts missed", N: 100, Limit: 0, Gate: true},
	{Figure: "idle.cpuSecondsPerHour", What: "idle: CPU seconds an hour", N: 1000, Limit: 10},
}

// met says whether a value reaches the bar.
func (b Bar) met(value float64) bool {
	if b.AtLeast {
		return value >= b.Limit
	}
	return value <= b.Limit
}

// wanted is the bar in words.
func (b Bar) wanted() string {
	switch {
	case b.AtLeast && b.Limit == 0:
		return ""
	case b.AtLeast:
		return "≥ " + number(b.Limit)
	case b.Limit == 0:
		return "0"
	}
	return "≤ " + number(b.Limit)
}

// Misses are the gates that were measured and not reached.
func (r *Report) Misses() []string {
	var out []string
	for _, b := range Bars {
		value, measured := r.Value(b.Figure, b.N)
		if b.Gate && measured && !b.met(value) {
			out = append(out, fmt.Sprintf("%s at N=%d is %s, wanted %s (%s)", b.Figure, b.N, number(value), b.wanted(), b.What))
		}
	}
	return out
}

// Markdown is the table of what was measured.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s in %.0f minutes on %d cores (load average %s before, %s after).\n\n",
		r.Date.Format("2006-01-02"), r.Seconds/60, r.Machine.CPUs, number(r.Machine.LoadBefore), number(r.Machine.LoadAfter))
	b.WriteString("| | wanted | N = 100 | N = 1000 | |\n|---|---|---|---|---|\n")
	for _, bar := range Bars {
		if r.Figures[bar.Figure] == nil {
			continue
		}
		value, measured := r.Value(bar.Figure, bar.N)
		verdict := ""
		switch {
		case measured && bar.wanted() != "" && !bar.met(value):
			verdict = "missed"
		case measured && bar.wanted() != "":
			verdict = "met"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", bar.What, bar.wanted(), r.cell(bar.Figure, 100), r.cell(bar.Figure, 1000), verdict)
	}
	for _, n := range r.Notes {
		b.WriteString("\n- " + n)
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// cell is a median, with the spread where there was more than one run.
func (r *Report) cell(name string, n int) string {
	s := r.Figures[name][n]
	switch {
	case s == nil:
		return ""
	case len(s.Runs) == 1 || s.Min == s.Max:
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// number with three digits that count.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return strconv.FormatInt(int64(v), 10)
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

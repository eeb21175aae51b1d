// SPDX-License-Identifier: Apache-2.0

// Package application decides what to do next with the run of a pipeline's
// application: start it, stop it, replace it, or leave it alone. It is pure:
// Decide looks at what is known and answers with one step; the controller takes
// it and looks again.
//
// The rules come from how kubeflow's controller behaves. Its SparkApplication
// is created once and never applied again: it decides restarts in an event
// filter that can lose them, its retry counters are for life, and a write during
// a submission collides with its own status update and kills the driver it has
// just started. So a change is a stop, a fence and a new object.
//
//	absent ── fence ──> Create ──> runs
//	runs ── Suspend ──> AwaitStop ── fence ──> Delete ──> absent
//	terminal ──────────────────────────────> Delete ──> absent
//
// The fence is an uncached list that shows no pod of an earlier run. It stands
// before each start, whatever the way there, so that two runs never share a
// checkpoint.
package application

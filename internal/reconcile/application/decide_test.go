// SPDX-License-Identifier: Apache-2.0

package application

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// app is a healthy run of the rendering "a" of generation 1.
func app(change ...func(*Running)) *Running {
	a := &Running{UID: "u1", Generation: 1, Created: now.Add(-time.Hour), State: sparkapi.StateRunning,
		Digest: "a", SpecGeneration: 1, SubmittedAt: now.Add(-time.Hour)}
	for _, c := range change {
		c(a)
	}
	return a
}

func state(s sparkapi.ApplicationState) func(*Running) { return func(a *Running) { a.State = s } }

// wants asks for the rendering "a" of generation 1.
func wants(change ...func(*Wanted)) Wanted {
	w := Wanted{Run: true, Digest: "a", Generation: 1, Change: v1alpha1.ChangeNone, WindowOpen: true}
	for _, c := range change {
		c(&w)
	}
	return w
}

func suspended(w *Wanted) { w.Run, w.StopReason = false, StopSuspended }

func changed(class v1alpha1.ChangeClass) func(*Wanted) {
	return func(w *Wanted) {
		w.Digest, w.Generation, w.Change, w.Reasons = "b", 2, class, []string{"image"}
	}
}

// stop is a record of a stop of the object u1, begun some time ago.
func stop(ago time.Duration) *v1alpha1.ApplicationStatus {
	return &v1alpha1.ApplicationStatus{UID: "u1", GenerationWritten: 1,
		StopRequested: &v1alpha1.StopRequest{Reason: "because", Since: metav1.NewTime(now.Add(-ago))}}
}

func TestDecide(t *testing.T) {
	limits := Limits{Submit: 3 * time.Minute, PickUp: time.Minute}
	for _, c := range []struct {
		name   string
		wanted Wanted
		rec    *v1alpha1.ApplicationStatus
		facts  Facts
		step   Step
		fence  bool
		run    bool
		reason string
		says   string
	}{
		{"says that the backend is not installed", wants(), nil, Facts{}, StepNone, false, false, "SparkOperatorMissing", "install kubeflow"},
		{"creates what is absent, behind the fence", wants(), nil, Facts{Installed: true}, StepCreate, true, false, "Starting", ""},
		{"waits for pods of an earlier run before it starts another", wants(), nil,
			Facts{Installed: true, LivePods: []string{"orders-driver"}}, StepAwait, false, false, "Fenced", "orders-driver"},
		{"starts nothing while suspended, and that is fine", wants(suspended), nil, Facts{Installed: true}, StepNone, false, true, "Suspended", ""},
		{"starts nothing when the state is gone", wants(func(w *Wanted) { w.Blocked = "the claim is gone" }), nil,
			Facts{Installed: true}, StepNone, false, false, "StartRefused", "the claim is gone"},
		{"starts nothing that would lose state, also after a suspension", wants(changed(v1alpha1.ChangeStateBreaking)), nil,
			Facts{Installed: true}, StepNone, false, false, "StateBreaking", `acceptStateReset to "b"`},
		{"starts what would lose state when the user agreed to exactly that",
			wants(changed(v1alpha1.ChangeStateBreaking), func(w *Wanted) { w.AcceptStateReset = "b" }), nil,
			Facts{Installed: true}, StepCreate, true, false, "Starting", ""},

		{"leaves a healthy run alone", wants(), nil, Facts{Installed: true, App: app()}, StepNone, false, true, "Running", ""},
		{"leaves a run alone that the backend brings back", wants(), nil,
			Facts{Installed: true, App: app(state(sparkapi.StatePendingRerun))}, StepNone, false, false, "Restarting", "PENDING_RERUN"},
		{"says why no node takes the driver", wants(), nil,
			Facts{Installed: true, App: app(state(sparkapi.StateSubmitted)), DriverWaits: "0/3 nodes are available"},
			StepNone, false, false, "Starting", "0/3 nodes"},
		{"says that the backend gave up", wants(), nil,
			Facts{Installed: true, App: app(state(sparkapi.StateFailed))}, StepNone, false, false, "ApplicationFailed", "nonce"},
		{"says that the stream ended", wants(), nil,
			Facts{Installed: true, App: app(state(sparkapi.StateCompleted))}, StepNone, false, false, "ApplicationEnded", ""},
		{"says that nobody picked the object up", wants(), nil,
			Facts{Installed: true, App: app(state(sparkapi.StateNew), func(a *Running) { a.SubmittedAt = time.Time{} })},
			StepNone, false, false, "SparkOperatorNotActing", "namespace"},

		{"stops for suspension", wants(suspended), nil, Facts{Installed: true, App: app()}, StepRequestStop, false, false, "Stopping", ""},
		{"stops for a new spec", wants(changed(v1alpha1.ChangeRestart)), nil, Facts{Installed: true, App: app()},
			StepRequestStop, false, false, "Stopping", "image"},
		{"stops a failed run for a new spec", wants(changed(v1alpha1.ChangeRestart)), nil,
			Facts{Installed: true, App: app(state(sparkapi.StateFailed))}, StepRequestStop, false, false, "Stopping", "image"},
		{"waits with a new spec for the maintenance window",
			wants(changed(v1alpha1.ChangeRestart), func(w *Wanted) { w.WindowOpen, w.NextWindow = false, now.Add(time.Hour) }), nil,
			Facts{Installed: true, App: app()}, StepNone, false, false, "RestartPending", "2026-11-24T13:00:00Z"},
		{"does not wait for the window with a run that has failed",
			wants(changed(v1alpha1.ChangeRestart), func(w *Wanted) { w.WindowOpen = false }), nil,
			Facts{Installed: true, App: app(state(sparkapi.StateFailed))}, StepRequestStop, false, false, "Stopping", ""},
		{"goes on with the run before a change that would lose state", wants(changed(v1alpha1.ChangeStateBreaking)), nil,
			Facts{Installed: true, App: app()}, StepNone, false, false, "StateBreaking", "goes on"},
		{"does not restart for a new rendering of the same spec", wants(func(w *Wanted) { w.Digest, w.Change = "b", v1alpha1.ChangeRestart }), nil,
			Facts{Installed: true, App: app()}, StepNone, false, true, "RestartPending", ""},
		{"replaces an application that somebody edited", wants(), nil,
			Facts{Installed: true, App: app(func(a *Running) { a.Generation = 2 })}, StepRequestStop, false, false, "Stopping", "edited"},
		{"knows its own write from an edit", wants(), &v1alpha1.ApplicationStatus{UID: "u1", GenerationWritten: 2},
			Facts{Installed: true, App: app(func(a *Running) { a.Generation = 2 })}, StepNone, false, true, "Running", ""},

		{"writes nothing while a submission may be under way", wants(suspended), stop(time.Second),
			Facts{Installed: true, App: app(state(sparkapi.StateNew))}, StepAwait, false, false, "Stopping", "submission"},
		{"suspends a run that is to stop", wants(suspended), stop(time.Second), Facts{Installed: true, App: app()},
			StepSuspend, false, false, "Stopping", ""},
		{"suspends all the same after the longest submission", wants(suspended), stop(4 * time.Minute),
			Facts{Installed: true, App: app(state(sparkapi.StateNew))}, StepSuspend, false, false, "Stopping", ""},
		{"waits for the backend to have suspended", wants(suspended), stop(time.Second),
			Facts{Installed: true, App: app(func(a *Running) { a.SuspendAsked = true })}, StepAwait, false, false, "Stopping", "suspended"},
		{"waits for pods after SUSPENDED, which comes before their end", wants(suspended), stop(time.Second),
			Facts{Installed: true, App: app(state(sparkapi.StateSuspended)), LivePods: []string{"orders-driver"}}, StepAwait, false, false, "Stopping", "orders-driver"},
		{"deletes behind the fence", wants(suspended), stop(time.Second),
			Facts{Installed: true, App: app(state(sparkapi.StateSuspended))}, StepDelete, true, false, "Stopping", ""},
		{"deletes a dead run although its executors live on", wants(changed(v1alpha1.ChangeRestart)), stop(time.Second),
			Facts{Installed: true, App: app(state(sparkapi.StateFailed)), LivePods: []string{"exec-1"}}, StepDelete, false, false, "Stopping", ""},
		{"does not take a stop back that was begun", wants(), stop(time.Second),
			Facts{Installed: true, App: app(func(a *Running) { a.SuspendAsked = true })}, StepAwait, false, false, "Stopping", ""},
		{"does not stop the next object for the stop of the last one", wants(), stop(time.Second),
			Facts{Installed: true, App: app(func(a *Running) { a.UID = "u2" })}, StepNone, false, true, "Running", ""},
		{"waits for an object that goes", wants(), nil, Facts{Installed: true, App: app(func(a *Running) { a.Deleting = true })},
			StepAwait, false, false, "Stopping", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(c.wanted, c.rec, c.facts, limits, now)
			if d.Step != c.step || d.Fence != c.fence || d.Running != c.run || d.Reason != c.reason || !strings.Contains(d.Message, c.says) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// TestEveryStopEnds plays a stop against a backend that does nothing but let time
// pass: each wait must have a deadline.
func TestEveryStopEnds(t *testing.T) {
	limits := Limits{Submit: 3 * time.Minute, PickUp: time.Minute}
	for _, s := range []sparkapi.ApplicationState{sparkapi.StateNew, sparkapi.StateSubmitted, sparkapi.StateRunning,
		sparkapi.StatePendingRerun, sparkapi.StateInvalidating, sparkapi.StateFailing, sparkapi.StateResuming,
		sparkapi.StateSuspending, sparkapi.StateSuspended, sparkapi.StateFailed, sparkapi.StateCompleted, sparkapi.StateUnknown,
		sparkapi.StateSubmissionFailed, sparkapi.StateSucceeding} {
		t.Run("from "+string(s), func(t *testing.T) {
			a := app(state(s))
			rec := stop(0)
			at := now
			for range 10 {
				d := Decide(wants(suspended), rec, Facts{Installed: true, App: a}, limits, at)
				switch d.Step {
				case StepDelete:
					return
				case StepSuspend:
					a.SuspendAsked = true
				case StepAwait:
					if d.After <= 0 {
						t.Fatalf("waits without a deadline: %+v", d)
					}
					at = at.Add(d.After)
				default:
					t.Fatalf("took step %q in a stop", d.Step)
				}
			}
			t.Fatal("the stop did not end")
		})
	}
}

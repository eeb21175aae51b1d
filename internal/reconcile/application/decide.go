// SPDX-License-Identifier: Apache-2.0

package application

import (
	"fmt"
	"strings"
	"time"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Step is what to do next.
type Step string

// Steps. Each is safe to take twice.
const (
	// StepNone leaves the application alone.
	StepNone Step = "None"
	// StepCreate passes the fence and creates the object.
	StepCreate Step = "Create"
	// StepRequestStop records that the run is to stop, after the next rendering
	// was accepted by a dry run if there is to be a next one.
	StepRequestStop Step = "RequestStop"
	// StepSuspend asks the backend to stop.
	StepSuspend Step = "Suspend"
	// StepAwait waits for the backend or for pods.
	StepAwait Step = "Await"
	// StepDelete passes the fence, if the run was alive, and deletes the object.
	StepDelete Step = "Delete"
)

// Decision is the next step, and how the run is to be shown.
type Decision struct {
	Step Step
	// Fence demands an uncached look for pods before the step.
	Fence bool
	// Reason of the condition ApplicationRunning, and whether it is true.
	Running bool
	Reason  string
	Message string
	// StopReason is recorded with StepRequestStop.
	StopReason string
	// Replace says that a stop is followed by a start.
	Replace bool
	// After is when to look again, although nothing announces it. 0: a watch
	// does.
	After time.Duration
}

// Decide says what to do next. rec is what the pipeline's status remembers of
// the application; nil when it remembers nothing.
func Decide(w Wanted, rec *v1alpha1.ApplicationStatus, f Facts, limits Limits, now time.Time) Decision {
	if !f.Installed {
		return Decision{Step: StepNone, Reason: v1alpha1.ReasonSparkOperatorMissing,
			Message: "the API sparkoperator.k8s.io/v1beta2 SparkApplication is not installed; install kubeflow's spark-operator"}
	}
	if f.App == nil {
		return absent(w, f)
	}
	if f.App.Deleting {
		return Decision{Step: StepAwait, Reason: v1alpha1.ReasonStopping, Message: "the SparkApplication is being deleted"}
	}
	// A stop is of one object: after a crash the record may still hold the stop
	// of the object before this one.
	if rec != nil && rec.StopRequested != nil && rec.UID == f.App.UID {
		return stopping(w, *rec.StopRequested, f, limits, now)
	}
	if reason, replace := mustStop(w, rec, f); reason != "" {
		return Decision{Step: StepRequestStop, Reason: v1alpha1.ReasonStopping, Message: reason, StopReason: reason, Replace: replace}
	}
	return running(w, f, limits, now)
}

func absent(w Wanted, f Facts) Decision {
	if !w.Run {
		return Decision{Step: StepNone, Running: w.StopReason == StopSuspended, Reason: reasonNotWanted(w), Message: w.StopReason}
	}
	if len(f.LivePods) > 0 {
		return Decision{Step: StepAwait, Reason: v1alpha1.ReasonFenced,
			Message: "the next run starts when these pods of an earlier one are gone: " + list(f.LivePods)}
	}
	if refused(w) {
		return Decision{Step: StepNone, Reason: v1alpha1.ReasonStateBreaking, Message: refusal(w) + "; nothing runs until then"}
	}
	if w.Blocked != "" {
		return Decision{Step: StepNone, Reason: v1alpha1.ReasonStartRefused, Message: w.Blocked}
	}
	return Decision{Step: StepCreate, Fence: true, Reason: v1alpha1.ReasonStarting, Message: "the SparkApplication is being created"}
}

// WaitsForSubmission is shown from the creation of the object until the backend
// acts on it.
const WaitsForSubmission = "waits until the Spark operator submits the application"

// StopSuspended is the reason of a stop that spec.suspend asks for.
const StopSuspended = "spec.suspend is true"

// StopDeleted is the reason of a stop before the pipeline's deletion.
const StopDeleted = "the SparkPipeline is being deleted"

func reasonNotWanted(w Wanted) string {
	switch w.StopReason {
	case StopSuspended:
		return v1alpha1.ReasonSuspended
	case StopDeleted:
		return v1alpha1.ReasonDeleting
	}
	return v1alpha1.ReasonStopping
}

// mustStop says why the run has to stop now, and whether another one follows.
// An empty reason lets it run.
func mustStop(w Wanted, rec *v1alpha1.ApplicationStatus, f Facts) (reason string, replace bool) {
	switch {
	case !w.Run:
		return w.StopReason, false
	case edited(rec, f.App):
		return "somebody edited the SparkApplication; it is replaced by what the spec asks for", true
	case w.Digest == f.App.Digest && f.GuardRefusal != "" && sparkapi.Terminal(f.App.State) && w.AcceptStateReset == w.Digest && !w.ResetUsed:
		return "the loss of the state was accepted", true
	case w.Digest == f.App.Digest:
		return "", false
	case refused(w):
		return "", false
	case w.Generation == f.App.SpecGeneration:
		// A new rendering of the same spec comes with an upgrade of the operator.
		// It waits for a restart that has another reason.
		return "", false
	case !w.WindowOpen && !sparkapi.Terminal(f.App.State):
		return "", false
	}
	return "the spec changed: " + strings.Join(w.Reasons, ", "), true
}

// edited says that the object's generation is not the one that the operator's
// last write left. The operator writes spec.suspend only after it recorded a
// stop, so without a record any other generation is somebody's edit.
func edited(rec *v1alpha1.ApplicationStatus, app *Running) bool {
	written := int64(1)
	if rec != nil && rec.UID == app.UID && rec.GenerationWritten > 0 {
		written = rec.GenerationWritten
	}
	return app.Generation != written
}

// stopping goes on with a stop that was decided on. It is not taken back: a run
// that was half stopped is in no known state.
func stopping(w Wanted, stop v1alpha1.StopRequest, f Facts, limits Limits, now time.Time) Decision {
	d := Decision{Reason: v1alpha1.ReasonStopping, Replace: w.Run}
	overdue := now.Sub(stop.Since.Time) >= limits.Submit
	switch {
	case sparkapi.Terminal(f.App.State):
		// No submit is in flight, and suspend would be ignored. Executors of a
		// dead driver live until its pod goes with the object, so the fence is
		// left to the next start.
		d.Step, d.Message = StepDelete, "the run has ended"
	case f.App.State == sparkapi.StateSuspended || (f.App.SuspendAsked && overdue):
		if len(f.LivePods) > 0 {
			d.Step, d.Message = StepAwait, "waits until these pods are gone: "+list(f.LivePods)
			return d
		}
		d.Step, d.Fence, d.Message = StepDelete, true, "all pods of the run are gone"
	case f.App.SuspendAsked:
		d.Step, d.Message = StepAwait, "waits until the Spark operator has suspended the run"
		d.After = limits.Submit - now.Sub(stop.Since.Time)
	case submitting(f.App) && !overdue:
		d.Step, d.Message = StepAwait, "waits until the submission under way has ended"
		d.After = limits.Submit - now.Sub(stop.Since.Time)
	default:
		d.Step, d.Message = StepSuspend, "the Spark operator is asked to stop the run"
	}
	return d
}

// submitting says that spark-submit may be running: a write now would collide
// with the controller's own status update.
func submitting(app *Running) bool {
	switch app.State {
	case sparkapi.StateNew, sparkapi.StatePendingRerun, sparkapi.StateInvalidating, sparkapi.StateResuming, sparkapi.StateFailing:
		return true
	}
	return false
}

// running shows a run that is left alone.
func running(w Wanted, f Facts, limits Limits, now time.Time) Decision {
	d := Decision{Step: StepNone}
	switch f.App.State {
	case sparkapi.StateNew:
		unnoticed := now.Sub(f.App.Created)
		if f.App.SubmittedAt.IsZero() && unnoticed >= limits.PickUp {
			d.Reason = v1alpha1.ReasonSparkOperatorNotActing
			d.Message = "the Spark operator has not picked up the SparkApplication; does it watch this namespace (spark.jobNamespaces)?"
			return d
		}
		d.Reason, d.Message = v1alpha1.ReasonStarting, WaitsForSubmission
		d.After = max(limits.PickUp-unnoticed, 0)
	case sparkapi.StateRunning:
		d = healthy(w, f)
	case sparkapi.StateSubmitted, sparkapi.StateResuming:
		d.Reason, d.Message = v1alpha1.ReasonStarting, "waits until the driver runs"
		if f.DriverWaits != "" {
			d.Message = "the driver's pod cannot start: " + f.DriverWaits
		}
	case sparkapi.StateFailed:
		if f.GuardRefusal != "" {
			d.Reason, d.Message = v1alpha1.ReasonGuardRefused, fmt.Sprintf("nothing was started: %s; when the state is in order set another spec.restart.nonce, or accept its loss by spec.restart.acceptStateReset: %q", f.GuardRefusal, w.Digest)
			return d
		}
		d.Reason = v1alpha1.ReasonApplicationFailed
		d.Message = "the Spark operator has used up its retries; look at the driver's log, then change the spec or set another spec.restart.nonce to start again"
	case sparkapi.StateCompleted:
		d.Reason = v1alpha1.ReasonApplicationEnded
		d.Message = "the application ended by itself, which a stream does not; change the spec or set another spec.restart.nonce to start again"
	default:
		d.Reason, d.Message = v1alpha1.ReasonRestarting, fmt.Sprintf("the Spark operator is bringing the run back (%s)", f.App.State)
		if f.GuardRefusal != "" {
			d.Reason, d.Message = v1alpha1.ReasonGuardRefused, fmt.Sprintf("%s; the Spark operator tries again (%s)", f.GuardRefusal, f.App.State)
		}
	}
	return d
}

// refused says that the change would lose state and nobody has agreed to that.
func refused(w Wanted) bool {
	return w.Change == v1alpha1.ChangeStateBreaking && w.AcceptStateReset != w.Digest
}

func refusal(w Wanted) string {
	return fmt.Sprintf("the change would lose state (%s); take it back, or set spec.restart.acceptStateReset to %q",
		strings.Join(w.Reasons, ", "), w.Digest)
}

// healthy shows a driver that runs, with the change that it does not have yet.
func healthy(w Wanted, f Facts) Decision {
	d := Decision{Step: StepNone, Running: true, Reason: v1alpha1.ReasonRunning, Message: "the driver runs"}
	switch {
	case w.Digest == f.App.Digest:
	case refused(w):
		d.Running, d.Reason = false, v1alpha1.ReasonStateBreaking
		d.Message = refusal(w) + "; the run before the change goes on"
	case w.Generation == f.App.SpecGeneration:
		d.Reason = v1alpha1.ReasonRestartPending
		d.Message = "a new rendering of the same spec waits for the next planned restart"
	default:
		d.Running, d.Reason = false, v1alpha1.ReasonRestartPending
		d.Message = "the change waits for the maintenance window that opens at " + w.NextWindow.UTC().Format(time.RFC3339)
	}
	return d
}

// list names a few things and counts the rest, so that a message stays short.
func list(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

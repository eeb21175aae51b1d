// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// rules give one condition each. Ready repeats the first that is not True, those
// of aside apart.
var rules = []func(Pass) metav1.Condition{accepted, applied, applicationRunning, childrenReady, backupConfigured, bucketsAccessible, checkpointSound}

// aside are conditions that Ready does not wait for: a pipeline without backups
// runs, it only should not.
var aside = []string{v1alpha1.ConditionBackupConfigured, v1alpha1.ConditionBucketsAccessible, v1alpha1.ConditionCheckpointSound}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func unknown(kind string) metav1.Condition {
	return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotObserved, "the last pass did not get that far")
}

func accepted(p Pass) metav1.Condition {
	if p.Failure != nil && p.Failure.Condition == v1alpha1.ConditionAccepted {
		return condition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, p.Failure.Reason, p.Failure.Message)
	}
	return condition(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonValid, "the spec can be built")
}

func applied(p Pass) metav1.Condition {
	const kind = v1alpha1.ConditionApplied
	switch {
	case p.Deleting:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonDeleting, p.DeletionWaits)
	case p.Failure != nil && p.Failure.Condition == kind:
		return condition(kind, metav1.ConditionFalse, p.Failure.Reason, p.Failure.Message)
	case !p.Applied:
		return unknown(kind)
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonApplied, "every child is as the spec wants it")
}

func applicationRunning(p Pass) metav1.Condition {
	const kind = v1alpha1.ConditionApplicationRunning
	if p.Decision == nil {
		return unknown(kind)
	}
	status := metav1.ConditionFalse
	if p.Decision.Running {
		status = metav1.ConditionTrue
	}
	return condition(kind, status, p.Decision.Reason, p.Decision.Message)
}

func childrenReady(p Pass) metav1.Condition {
	const kind = v1alpha1.ConditionChildrenReady
	switch {
	case !p.Applied:
		return unknown(kind)
	case len(p.Lost) > 0:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonClaimLost,
			"gone, and not made again because that would start the stream from nothing: "+join(p.Lost)+"; restore it, or allow a new one with spec.restart.acceptStateReset")
	case len(p.Terminating) > 0:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonClaimTerminating,
			"somebody deleted what holds the state, and it goes as soon as the pods that use it end; take a backup now: "+join(p.Terminating))
	case len(p.Waiting) > 0:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonWaiting, join(p.Waiting))
	case len(p.Missing) > 0:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonAPIMissing,
			"skipped, because the API is not installed: "+join(p.Missing))
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonChildrenReady, "all children do their work")
}

func backupConfigured(p Pass) metav1.Condition {
	const kind = v1alpha1.ConditionBackupConfigured
	switch {
	case p.Failure != nil && p.Failure.Condition == v1alpha1.ConditionAccepted:
		return unknown(kind)
	case p.NoBucket:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonNoBucket,
			"spec.objectStore.buckets.backups is empty, so the state is copied nowhere")
	case len(p.BackupProblems) > 0:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonObjectiveMissed, join(p.BackupProblems))
	}
	if p.SnapshotsOff != "" {
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonNoSnapshots,
			"schedules and retention meet the objectives by backups into the bucket; spec.backup.snapshot is Enabled and no snapshots are taken: "+p.SnapshotsOff)
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonBackupScheduled, "schedules and retention meet the objectives")
}

func bucketsAccessible(p Pass) metav1.Condition {
	const kind = v1alpha1.ConditionBucketsAccessible
	switch {
	case !p.Applied:
		return unknown(kind)
	case p.Buckets == nil:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonNoBuckets, "the spec names no bucket, so there is nothing to check")
	case p.Buckets.Passed:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonCheckPassed, "no right is missing in any bucket")
	case p.Buckets.Pending:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonCheckPending, "the check of the buckets has not said anything yet")
	}
	return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonCheckFailed, p.Buckets.Message+"; it is tried again by itself")
}

// checkpointSound repeats what the watch says of the state itself. Ready does not
// wait for it: what runs is not stopped by a doubt.
func checkpointSound(p Pass) metav1.Condition {
	const kind = v1alpha1.ConditionCheckpointSound
	switch {
	case p.Report == nil:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotObserved, "the watch of the checkpoint was not asked yet")
	case !p.Report.Watched:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotWatched, "nothing watches the checkpoint")
	case p.Report.Reason != "":
		return condition(kind, metav1.ConditionFalse, p.Report.Reason, p.Report.Message)
	case p.Report.State == v1alpha1.ProgressUnknown:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotWatched, "the watch of the checkpoint has nothing to tell, or does not answer")
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonSound, "the watch has found no fault in the checkpoint")
}

// summary is Ready: the first condition that is not True, else the state of the
// application.
func summary(results []metav1.Condition, p Pass) metav1.Condition {
	for _, c := range results {
		if slices.Contains(aside, c.Type) || c.Status == metav1.ConditionTrue {
			continue
		}
		return condition(v1alpha1.ConditionReady, c.Status, c.Reason, c.Message)
	}
	if p.Suspended {
		return condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSuspended, "spec.suspend is true; nothing runs")
	}
	return condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "the application runs and all children do their work")
}

// waitsForPerson are reasons that only a person can end.
var waitsForPerson = []string{
	v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonNamespaceNotAllowed, v1alpha1.ReasonCheckpointInUse,
	v1alpha1.ReasonOtherInstall, v1alpha1.ReasonNotOwned, v1alpha1.ReasonClaimLost, v1alpha1.ReasonClaimTerminating,
	v1alpha1.ReasonStateBreaking, v1alpha1.ReasonGuardRefused, v1alpha1.ReasonApplicationFailed, v1alpha1.ReasonApplicationEnded,
	v1alpha1.ReasonSparkOperatorMissing, v1alpha1.ReasonSparkOperatorNotActing,
}

// kstatus adds the two conditions by which kubectl, Flux and Argo CD tell work
// under way from work that waits for a person. They are there only when True.
func kstatus(ready metav1.Condition, p Pass) []metav1.Condition {
	if ready.Status == metav1.ConditionTrue {
		return nil
	}
	if !p.Deleting && slices.Contains(waitsForPerson, ready.Reason) {
		return []metav1.Condition{condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, ready.Reason, ready.Message)}
	}
	return []metav1.Condition{condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, ready.Reason, ready.Message)}
}

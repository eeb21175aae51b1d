// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
)

// Failure is what stopped a pass or a part of it.
type Failure struct {
	// Condition that it belongs to: Accepted or Applied.
	Condition string
	// Reason of that condition.
	Reason string
	// Message says what is wrong and what to do.
	Message string
	// Final failures end only with an edit by a person.
	Final bool
}

// Pass is what one reconcile saw and did. A pass that stopped early leaves unset
// what it could not know.
type Pass struct {
	// Namespace of the workload.
	Namespace string
	// Selector of driver and executors.
	Selector string
	// Failure that stopped the pass, nil if nothing did.
	Failure *Failure
	// Applied says that apply was reached; Children is then complete.
	Applied  bool
	Children []v1alpha1.ChildStatus
	// Waiting children, in words; Missing kinds, whose API is not installed.
	Waiting []string
	Missing []string
	// Lost children, durable and gone; Terminating ones, durable and going.
	Lost        []string
	Terminating []string
	// Decision about the application, nil when the pass did not get there.
	Decision *application.Decision
	// Application is the new record of it.
	Application *v1alpha1.ApplicationStatus
	// Checkpoint is what is known of the state.
	Checkpoint *v1alpha1.CheckpointStatus
	// Executors ready and wanted, nil when the pass did not get there.
	Executors *v1alpha1.ExecutorsStatus
	// Resolved choices.
	Resolved *v1alpha1.ResolvedChoices
	// BackupProblems are objectives that schedules cannot meet; NoBucket says
	// that there is nowhere to back up to.
	BackupProblems []string
	// SnapshotsOff is why snapshots that the spec asks for are not taken.
	SnapshotsOff string
	NoBucket     bool
	// LastBackup is when a backup last succeeded; nil: none has, as far as is known.
	LastBackup *metav1.Time
	// Buckets is what the check of the buckets has said; nil: there is none.
	Buckets *BucketCheck
	// Report is what the watch of the checkpoint says; nil: it was not asked yet, and
	// what it said before counts on.
	Report *Report
	// Suspended is spec.suspend.
	Suspended bool
	// Deleting says that the pipeline is on its way out; DeletionWaits for what.
	Deleting      bool
	DeletionWaits string
	// InstallID of this operator.
	InstallID string
}

// BucketCheck is what became of the check of the buckets.
type BucketCheck struct {
	// Passed: no right is missing. Pending: it has not said anything yet.
	Passed, Pending bool
	// Message says what is missing.
	Message string
}

// Report is what the watch of a checkpoint says.
type Report struct {
	State v1alpha1.ProgressState
	// Since when it stands still; zero in the other states.
	Since time.Time
	// Watched is false where nothing watches the checkpoint.
	Watched bool
	// Reason and Message of a problem of the state itself; empty: there is none.
	Reason, Message string
}

// Compute returns the status after a pass. prev is the status before it; what
// the pass could not know stays as it was.
func Compute(prev v1alpha1.SparkPipelineStatus, generation int64, p Pass, now time.Time) v1alpha1.SparkPipelineStatus {
	next := *prev.DeepCopy()
	next.ObservedGeneration = generation
	next.InstallID = p.InstallID
	if p.Namespace != "" {
		next.Namespace, next.Selector = p.Namespace, p.Selector
	}
	if p.Applied {
		next.Children = p.Children
	}
	if p.Decision != nil {
		next.Application, next.Checkpoint = p.Application, p.Checkpoint
	}
	if p.Executors != nil {
		p.Executors.Summary = fmt.Sprintf("%d/%d", p.Executors.Ready, p.Executors.Wanted)
		next.Executors = p.Executors
	}
	if p.LastBackup != nil {
		next.LastBackupTime = p.LastBackup
	}
	if p.Resolved != nil {
		next.Resolved = p.Resolved
	}
	next.Progress = progress(prev.Progress, p.Report, now)
	next.Conditions = conditions(prev.Conditions, generation, p, now)
	next.WaitingFor = waitingFor(prev.WaitingFor, next.Conditions, now)
	return next
}

// progress is stamped when its state changes, so that it does not change with each
// batch.
func progress(prev *v1alpha1.ProgressStatus, r *Report, now time.Time) *v1alpha1.ProgressStatus {
	if prev == nil {
		prev = &v1alpha1.ProgressStatus{State: v1alpha1.ProgressUnknown, Summary: string(v1alpha1.ProgressUnknown)}
	}
	if r == nil || r.State == prev.State && (r.Since.IsZero() || prev.Since != nil && prev.Since.Unix() == r.Since.Unix()) {
		return prev
	}
	next := &v1alpha1.ProgressStatus{State: r.State, Summary: string(r.State)}
	since := metav1.NewTime(now).Rfc3339Copy()
	if !r.Since.IsZero() {
		since = metav1.NewTime(r.Since).Rfc3339Copy()
		next.Summary += " since " + since.UTC().Format(time.RFC3339)
	}
	next.Since = &since
	return next
}

// conditions keeps Ready first, then the rules in their order.
func conditions(prev []metav1.Condition, generation int64, p Pass, now time.Time) []metav1.Condition {
	results := make([]metav1.Condition, 0, len(rules)+3)
	for _, rule := range rules {
		c := rule(p)
		if old := meta.FindStatusCondition(prev, c.Type); p.Report == nil && c.Type == v1alpha1.ConditionCheckpointSound && old != nil {
			c = *old
		}
		results = append(results, c)
	}
	ready := summary(results, p)
	all := append([]metav1.Condition{ready}, results...)
	all = append(all, kstatus(ready, p)...)
	var out []metav1.Condition
	for _, c := range all {
		c.ObservedGeneration = generation
		c.Message = trim(c.Message)
		c.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
		if old := meta.FindStatusCondition(prev, c.Type); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		out = append(out, c)
	}
	return out
}

// waitingFor is the first condition that is not True, with the time since when
// it says so.
func waitingFor(prev *v1alpha1.WaitingFor, conditions []metav1.Condition, now time.Time) *v1alpha1.WaitingFor {
	ready := conditions[0]
	if ready.Status == metav1.ConditionTrue {
		return nil
	}
	w := &v1alpha1.WaitingFor{Reason: ready.Reason, Message: ready.Message, Since: metav1.NewTime(now).Rfc3339Copy()}
	if prev != nil && prev.Reason == w.Reason {
		w.Since = prev.Since
	}
	return w
}

// trim bounds a message at about 1 KiB, at a rune's end.
func trim(message string) string {
	const most = 1024
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + " …"
}

// join lists things in a stable order, a few by name and the rest by number.
func join(things []string) string {
	const most = 5
	sorted := slices.Sorted(slices.Values(things))
	if len(sorted) <= most {
		return strings.Join(sorted, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(sorted[:most], "; "), len(sorted)-most)
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Conditions of a SparkPipeline. True is good in all of them but Reconciling
// and Stalled, which follow the convention of kstatus: present and True while
// the operator works, or while a person has to act.
const (
	// ConditionReady sums up: it repeats the first of the others that is not
	// True.
	ConditionReady = "Ready"
	// ConditionAccepted says that the spec can be built.
	ConditionAccepted = "Accepted"
	// ConditionApplied says that every child was applied as the spec wants it.
	ConditionApplied = "Applied"
	// ConditionChildrenReady says that the children do their work.
	ConditionChildrenReady = "ChildrenReady"
	// ConditionApplicationRunning says that the application runs, as the spec
	// wants it.
	ConditionApplicationRunning = "ApplicationRunning"
	// ConditionBackupConfigured says that state is backed up, on a schedule that
	// meets the objectives.
	ConditionBackupConfigured = "BackupConfigured"
	// ConditionBucketsAccessible says that the credentials of the pipeline may do in
	// each of its buckets what is asked of them.
	ConditionBucketsAccessible = "BucketsAccessible"
	// ConditionCheckpointSound says that the watch has found no fault in the state:
	// no second writer, no damage, no older copy in its place.
	ConditionCheckpointSound = "CheckpointSound"
	// ConditionReconciling is True while the operator works or waits for a
	// machine.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True while a person has to act.
	ConditionStalled = "Stalled"
)

// Reasons of conditions. They are API.
const (
	// ReasonReady: everything is as the spec wants it.
	ReasonReady = "Ready"
	// ReasonSuspended: the user suspended the pipeline.
	ReasonSuspended = "Suspended"
	// ReasonNotObserved: the pass stopped before it could know.
	ReasonNotObserved = "NotObserved"
	// ReasonDeleting: the pipeline is being deleted.
	ReasonDeleting = "Deleting"

	// ReasonValid: the spec can be built.
	ReasonValid = "Valid"
	// ReasonInvalidSpec: the spec cannot be built. Only an edit helps.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonNamespaceNotAllowed: the namespace is not on the list that an admin
	// keeps, or dedicated namespaces are forbidden.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonCheckpointInUse: another pipeline holds the same checkpoint.
	ReasonCheckpointInUse = "CheckpointInUse"
	// ReasonOtherInstall: another install of the operator reconciles the
	// pipeline.
	ReasonOtherInstall = "OtherInstall"

	// ReasonApplied: every child was applied.
	ReasonApplied = "Applied"
	// ReasonNotOwned: an object of a child's name exists and is not ours.
	ReasonNotOwned = "NotOwned"
	// ReasonRejected: the API server refused a child.
	ReasonRejected = "Rejected"
	// ReasonQuotaExceeded: a quota refused a child.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonRetrying: a request failed in a way that passes.
	ReasonRetrying = "Retrying"

	// ReasonChildrenReady: the children do their work.
	ReasonChildrenReady = "ChildrenReady"
	// ReasonWaiting: children are applied and not yet ready.
	ReasonWaiting = "Waiting"
	// ReasonAPIMissing: an optional API is not installed.
	ReasonAPIMissing = "APIMissing"
	// ReasonClaimLost: a claim that once existed is gone.
	ReasonClaimLost = "ClaimLost"
	// ReasonClaimTerminating: a claim in use is being deleted.
	ReasonClaimTerminating = "ClaimTerminating"

	// ReasonRunning: the application runs.
	ReasonRunning = "Running"
	// ReasonStarting: the application was created and does not run yet.
	ReasonStarting = "Starting"
	// ReasonStopping: the application is being stopped.
	ReasonStopping = "Stopping"
	// ReasonFenced: pods of an earlier run are still there.
	ReasonFenced = "Fenced"
	// ReasonRestarting: the backend starts the application again.
	ReasonRestarting = "Restarting"
	// ReasonRestartPending: a new rendering waits for the next planned restart.
	ReasonRestartPending = "RestartPending"
	// ReasonStateBreaking: a change would lose state and waits for consent.
	ReasonStateBreaking = "StateBreaking"
	// ReasonStartRefused: the API server would refuse the next application, so
	// the running one was not stopped.
	ReasonStartRefused = "StartRefused"
	// ReasonGuardRefused: the guard does not let the driver start on the checkpoint.
	ReasonGuardRefused = "GuardRefused"
	// ReasonApplicationFailed: the backend has given up.
	ReasonApplicationFailed = "ApplicationFailed"
	// ReasonApplicationEnded: the application ended, which a stream does not.
	ReasonApplicationEnded = "ApplicationEnded"
	// ReasonSparkOperatorMissing: the SparkApplication API is not installed.
	ReasonSparkOperatorMissing = "SparkOperatorMissing"
	// ReasonSparkOperatorNotActing: the SparkApplication is not picked up.
	ReasonSparkOperatorNotActing = "SparkOperatorNotActing"

	// ReasonBackupScheduled: state is backed up.
	ReasonBackupScheduled = "Scheduled"
	// ReasonNoSnapshots: backups go to the bucket, and no snapshots are taken.
	ReasonNoSnapshots = "NoSnapshots"
	// ReasonNoBucket: spec.objectStore.buckets.backups is empty.
	ReasonNoBucket = "NoBucket"
	// ReasonCheckPassed: no right is missing in any bucket.
	ReasonCheckPassed = "CheckPassed"
	// ReasonCheckPending: the check of the buckets has not said anything yet.
	ReasonCheckPending = "CheckPending"
	// ReasonCheckFailed: a bucket is not there, or a right is missing.
	ReasonCheckFailed = "CheckFailed"
	// ReasonSound: the watch has found no fault. Its other reasons are those of the
	// watch: SecondWriter, Damaged, Replaced, Older, OtherOwner.
	ReasonSound = "Sound"
	// ReasonNotWatched: nothing watches the checkpoint, or it has nothing to tell.
	ReasonNotWatched = "NotWatched"
	// ReasonNoBuckets: the spec names no bucket.
	ReasonNoBuckets = "NoBuckets"

	// ReasonObjectiveMissed: schedules or retention cannot meet the objectives.
	ReasonObjectiveMissed = "ObjectiveMissed"
)

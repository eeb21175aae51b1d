// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SparkPipelineStatus is what the operator saw and did. It holds nothing that
// changes with each batch; exact ages are metrics.
type SparkPipelineStatus struct {
	// observedGeneration is the generation of the spec that this status is of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions, Ready first. True is good in all of them.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// namespace that the children live in.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// selector of driver and executors, for /scale.
	// +optional
	Selector string `json:"selector,omitempty"`

	// children are the objects that the pipeline is made of.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=namespace
	// +listMapKey=name
	Children []ChildStatus `json:"children,omitempty"`

	// application is the run of the application.
	// +optional
	Application *ApplicationStatus `json:"application,omitempty"`

	// executors of the run.
	// +optional
	Executors *ExecutorsStatus `json:"executors,omitempty"`

	// progress of the stream.
	// +optional
	Progress *ProgressStatus `json:"progress,omitempty"`

	// lastBackupTime is when the newest recovery point was made.
	// +optional
	LastBackupTime *metav1.Time `json:"lastBackupTime,omitempty"`

	// recoveryStep is what recovery is doing. Empty: nothing.
	// +optional
	RecoveryStep string `json:"recoveryStep,omitempty"`

	// waitingFor is what has to happen before the pipeline can go on.
	// +optional
	WaitingFor *WaitingFor `json:"waitingFor,omitempty"`

	// checkpoint is what is known of the state, as of the last start of a driver.
	// +optional
	Checkpoint *CheckpointStatus `json:"checkpoint,omitempty"`

	// resolved are choices that depended on the surroundings and were made once.
	// +optional
	Resolved *ResolvedChoices `json:"resolved,omitempty"`

	// installID is the install of the operator that reconciles this pipeline.
	// +optional
	InstallID string `json:"installID,omitempty"`
}

// ChildStatus is one child, and what the engine remembers of it.
type ChildStatus struct {
	// group of the child's API. Empty: core.
	// +optional
	Group string `json:"group,omitempty"`
	// kind of the child.
	// +required
	Kind string `json:"kind"`
	// namespace of the child. Empty: the child has none.
	// +optional
	// +kubebuilder:default=""
	Namespace string `json:"namespace"`
	// name of the child.
	// +required
	Name string `json:"name"`
	// ready says that the child does its work.
	// +required
	Ready bool `json:"ready"`
	// reason why the child is not ready.
	// +optional
	Reason string `json:"reason,omitempty"`
	// uid of the child.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// applied is the digest of the payload last applied.
	// +optional
	Applied string `json:"applied,omitempty"`
	// entry is the digest of the operator's own managedFields entry.
	// +optional
	Entry string `json:"entry,omitempty"`
}

// ChangeClass says what a change of the spec costs.
//
// +kubebuilder:validation:Enum=None;Scale;Restart;StateBreaking
type ChangeClass string

// Classes of changes.
const (
	// ChangeNone reaches no running process.
	ChangeNone ChangeClass = "None"
	// ChangeScale changes the number of executors.
	ChangeScale ChangeClass = "Scale"
	// ChangeRestart needs a planned restart.
	ChangeRestart ChangeClass = "Restart"
	// ChangeStateBreaking would lose state. It waits for
	// restart.acceptStateReset.
	ChangeStateBreaking ChangeClass = "StateBreaking"
)

// ApplicationStatus is the run of the application.
type ApplicationStatus struct {
	// uid of the backend's object.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// state that the backend reports.
	// +optional
	State string `json:"state,omitempty"`
	// message that the backend reports with the state.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// appID is the id that Spark gave the run.
	// +optional
	AppID string `json:"appID,omitempty"`
	// submissionID is the id of the submission that made the run.
	// +optional
	SubmissionID string `json:"submissionID,omitempty"`
	// generationWritten is the generation of the backend's object after the
	// operator's last write. Another one is somebody's edit.
	// +optional
	GenerationWritten int64 `json:"generationWritten,omitempty"`
	// renderingWanted is the digest of the rendering that the spec asks for.
	// +optional
	RenderingWanted string `json:"renderingWanted,omitempty"`
	// renderingRunning is the digest of the rendering that runs.
	// +optional
	RenderingRunning string `json:"renderingRunning,omitempty"`
	// specGeneration is the newest generation of the pipeline that asks for no
	// other run than the present one.
	// +optional
	SpecGeneration int64 `json:"specGeneration,omitempty"`
	// renderingSettled is the digest that this version of the operator renders of
	// specGeneration. It differs from renderingRunning after an upgrade of the
	// operator.
	// +optional
	RenderingSettled string `json:"renderingSettled,omitempty"`
	// pendingChange is the class of the change that is not yet running.
	// +optional
	PendingChange ChangeClass `json:"pendingChange,omitempty"`
	// pendingReasons say what changes.
	// +optional
	// +listType=atomic
	PendingReasons []string `json:"pendingReasons,omitempty"`
	// state-defining settings of the running rendering, by which a
	// StateBreaking change is told.
	// +optional
	StateIdentity map[string]string `json:"stateIdentity,omitempty"`
	// stopRequested says that the operator is stopping the run, and why.
	// +optional
	StopRequested *StopRequest `json:"stopRequested,omitempty"`
	// nonce is the value of restart.nonce that the run was made with.
	// +optional
	Nonce string `json:"nonce,omitempty"`
	// restarts of the application since it was first started.
	// +optional
	Restarts int32 `json:"restarts,omitempty"`
	// executionAttempts that the backend last reported for this object.
	// +optional
	ExecutionAttempts int32 `json:"executionAttempts,omitempty"`
	// started says that the present object has run at least once.
	// +optional
	Started bool `json:"started,omitempty"`
	// sizedRun is the run whose size the operator has set once.
	// +optional
	SizedRun string `json:"sizedRun,omitempty"`
	// lastHealthyRendering is the digest of the last rendering that was healthy.
	// +optional
	LastHealthyRendering string `json:"lastHealthyRendering,omitempty"`
}

// StopRequest is a stop that the operator decided on.
type StopRequest struct {
	// reason of the stop.
	// +required
	Reason string `json:"reason"`
	// since when the stop is under way.
	// +required
	Since metav1.Time `json:"since"`
}

// ExecutorsStatus counts executors.
type ExecutorsStatus struct {
	// ready executors.
	// +optional
	Ready int32 `json:"ready"`
	// wanted executors.
	// +optional
	Wanted int32 `json:"wanted"`
	// summary is ready/wanted.
	// +optional
	Summary string `json:"summary,omitempty"`
}

// ProgressState says how a stream gets on.
//
// +kubebuilder:validation:Enum=Advancing;Idle;Stalled;Unknown
type ProgressState string

// States of progress.
const (
	ProgressAdvancing ProgressState = "Advancing"
	ProgressIdle      ProgressState = "Idle"
	ProgressStalled   ProgressState = "Stalled"
	ProgressUnknown   ProgressState = "Unknown"
)

// ProgressStatus is the progress of the stream.
type ProgressStatus struct {
	// state of progress.
	// +required
	State ProgressState `json:"state"`
	// since when the state holds.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// summary is the state, with the time where it stalled.
	// +optional
	Summary string `json:"summary,omitempty"`
}

// WaitingFor is what has to happen before the pipeline can go on.
type WaitingFor struct {
	// reason, as in the condition that waits.
	// +required
	Reason string `json:"reason"`
	// message says what is waited for and what to do.
	// +optional
	Message string `json:"message,omitempty"`
	// since when it is waited for.
	// +required
	Since metav1.Time `json:"since"`
}

// CheckpointStatus is what is known of the state, as of the last start of a driver.
type CheckpointStatus struct {
	// roots that were seen with a committed batch. A driver is not started on one
	// that is empty or older.
	// +optional
	// +listType=map
	// +listMapKey=path
	Roots []CheckpointRoot `json:"roots,omitempty"`
	// refusal of the last start by the guard; absent when it was let through.
	// +optional
	Refusal *GuardRefusal `json:"refusal,omitempty"`
	// resetAccepted is the value of spec.restart.acceptStateReset that was last
	// made use of. It lets one start through.
	// +optional
	ResetAccepted string `json:"resetAccepted,omitempty"`
}

// CheckpointRoot is the root of one query.
type CheckpointRoot struct {
	// path below the place of the checkpoint.
	// +required
	Path string `json:"path"`
	// committed is the newest committed batch that was seen there.
	// +required
	Committed int64 `json:"committed"`
}

// GuardRefusal is why the guard did not let a driver start.
type GuardRefusal struct {
	// reason, such as Empty, Older, Damaged or Locked.
	// +required
	Reason string `json:"reason"`
	// message says what was found.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// application is the uid of the backend's object whose driver was refused.
	// +optional
	Application types.UID `json:"application,omitempty"`
	// since when the guard says so.
	// +required
	Since metav1.Time `json:"since"`
}

// ResolvedChoices are choices that depended on the surroundings and were made
// once, so that a change around the pipeline never restarts it.
type ResolvedChoices struct {
	// encryption in force: never Auto.
	// +optional
	Encryption EncryptionLevel `json:"encryption,omitempty"`
	// auto says that it was chosen for spec.security.encryption Auto.
	// +optional
	Auto bool `json:"auto,omitempty"`
}

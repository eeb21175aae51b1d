// SPDX-License-Identifier: Apache-2.0

package application

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Wanted is the run that the spec asks for.
type Wanted struct {
	// Run is false when the application must not run: suspended, being deleted,
	// or refused.
	Run bool
	// StopReason says why, when Run is false.
	StopReason string
	// Digest of the rendering.
	Digest string
	// Generation of the pipeline that the rendering is of.
	Generation int64
	// Change from the running rendering to this one, and its reasons. None when
	// nothing runs.
	Change  v1alpha1.ChangeClass
	Reasons []string
	// Blocked says why a start must not happen now although the spec asks for a
	// run: what holds the state is gone. A run that lives is not stopped for it.
	Blocked string
	// AcceptStateReset is the digest of a rendering whose loss of state the user
	// accepts.
	AcceptStateReset string
	// ResetUsed says that this acceptance has let a start through before.
	ResetUsed bool
	// WindowOpen says that planned restarts may happen now; NextWindow when they
	// next may.
	WindowOpen bool
	NextWindow time.Time
}

// Running is the object that the backend works on.
type Running struct {
	UID        types.UID
	Generation int64
	Created    time.Time
	Deleting   bool
	// SuspendAsked is spec.suspend.
	SuspendAsked bool
	State        sparkapi.ApplicationState
	// Digest of the rendering that the object was made from, and the generation
	// of the pipeline then.
	Digest         string
	SpecGeneration int64
	// SubmittedAt is when the backend last began to submit; zero when it never
	// did.
	SubmittedAt time.Time
}

// Facts are what is known of the run.
type Facts struct {
	// Installed is false when the backend's API is not there.
	Installed bool
	// App is nil when there is no object.
	App *Running
	// LivePods names the pods of Spark that have not ended, as far as the cache
	// knows. The fence asks the API server itself.
	LivePods []string
	// GuardRefusal says why the guard does not let this application's driver
	// start; empty when it does, or has not said.
	GuardRefusal string
	// DriverWaits says what keeps the driver's pod from starting and will not pass
	// by itself; empty when nothing does.
	DriverWaits string
}

// Limits are the waits that end by themselves.
type Limits struct {
	// Submit is the longest time that the backend may need for a submission.
	Submit time.Duration
	// PickUp is how long a new object may go unnoticed before that is said.
	PickUp time.Duration
}

// DefaultLimits hold for kubeflow's controller: spark-submit takes seconds on a
// free machine and was seen to take half a minute on a loaded one.
var DefaultLimits = Limits{Submit: 3 * time.Minute, PickUp: time.Minute}

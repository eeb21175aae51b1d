// SPDX-License-Identifier: Apache-2.0

// Package simulation plays Spark on Kubernetes without running anything: a
// spark-submit that takes its time and makes a driver pod, drivers that make a
// StatefulSet, executors that register, and their ends. On an API server alone it
// also plays the kubelet, the StatefulSet controller and the garbage collector for
// Spark's pods; on a whole control plane these are left to it.
package simulation

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kind is a kind of step that takes time.
type Kind string

// Steps, in the order of a life. Ready and Allocate are the driver's, Register,
// GiveUp and Decommission the executors'.
const (
	// Submit is spark-submit from its start to the creation of the driver pod.
	Submit Kind = "Submit"
	// Init is an init container.
	Init Kind = "Init"
	// Start is from the binding of a pod to its running container.
	Start Kind = "Start"
	// Ready is from the start of the driver to its first passed probe.
	Ready Kind = "Ready"
	// Allocate is from then to the executors' StatefulSet.
	Allocate Kind = "Allocate"
	// Crash is from the start of a driver that is to fail to its end.
	Crash Kind = "Crash"
	// Register is from the start of an executor to its id.
	Register Kind = "Register"
	// GiveUp is from the start of an executor that finds no driver to its end.
	GiveUp Kind = "GiveUp"
	// Decommission is how long an executor that is to leave needs.
	Decommission Kind = "Decommission"
	// Stop is from the driver's SIGTERM, or the stream's end, to the deletion of
	// the StatefulSet.
	Stop Kind = "Stop"
	// Quit is from then to the end of the driver's process.
	Quit Kind = "Quit"
	// GraceOver is the kill at the end of a pod's grace period. Its time counts
	// from that end.
	GraceOver Kind = "GraceOver"
	// Finish is from the end of a container to the pod's last phase.
	Finish Kind = "Finish"
	// Remove is from then to the removal of a pod that is being deleted.
	Remove Kind = "Remove"
)

// Step is what is about to happen.
type Step struct {
	Kind Kind
	// App is the application.
	App client.ObjectKey
	// Pod is the pod as it was first seen. Submit has none.
	Pod *corev1.Pod
	// Attempt is the number of the try, for Submit.
	Attempt int32
}

// Pace says when a step may happen.
type Pace interface {
	// Wait returns when it may, or with an error when the context ends.
	Wait(ctx context.Context, step Step) error
}

// Durations is a pace by the clock. Steps without one happen at once.
type Durations map[Kind]time.Duration

// Wait implements Pace.
func (d Durations) Wait(ctx context.Context, step Step) error {
	return sleep(ctx, d[step.Kind])
}

// Brisk is a pace for demos: about a tenth of what the recordings took.
func Brisk() Durations {
	return Durations{
		Submit: 1500 * time.Millisecond, Init: 100 * time.Millisecond, Start: 100 * time.Millisecond, Ready: time.Second,
		Allocate: 300 * time.Millisecond, Crash: time.Second, Register: 700 * time.Millisecond, GiveUp: 2 * time.Second,
		Decommission: time.Second, Stop: 200 * time.Millisecond, Quit: 100 * time.Millisecond,
		Finish: 100 * time.Millisecond, Remove: 100 * time.Millisecond,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

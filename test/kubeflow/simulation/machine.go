// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// latch is a channel that is closed once.
type latch struct {
	c    chan struct{}
	once *sync.Once
}

func newLatch() latch      { return latch{c: make(chan struct{}), once: &sync.Once{}} }
func (l latch) close()     { l.once.Do(func() { close(l.c) }) }
func (l latch) over() bool { return isClosed(l.c) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Exit codes of processes that are ended from outside.
const (
	exitKilled     = 137
	exitTerminated = 143
)

// machine is one pod's life, from its binding to its removal.
type machine struct {
	cluster *Cluster
	key     client.ObjectKey
	pod     *corev1.Pod // As first seen; only what never changes is read of it.
	app     client.ObjectKey

	ctx         context.Context
	cancel      context.CancelFunc
	terminating latch // The pod is being deleted.
	started     latch // The pod was seen running.
	registered  latch // The executor has an id.
	killed      chan int32
	kills       string // The last annotation acted upon.
}

func newMachine(c *Cluster, pod *corev1.Pod) *machine {
	ctx, cancel := context.WithCancel(c.base)
	m := &machine{
		cluster: c, key: client.ObjectKeyFromObject(pod), pod: pod, ctx: ctx, cancel: cancel,
		app:         client.ObjectKey{Namespace: pod.Namespace, Name: pod.Labels[spark.LabelAppName]},
		terminating: newLatch(), started: newLatch(), registered: newLatch(), killed: make(chan int32, 1),
	}
	if id := pod.Labels[spark.LabelExecutorID]; id != "" && id != spark.UnknownExecutor {
		m.registered.close()
	}
	return m
}

// signal asks for the end of the container. It answers whether it could.
func (m *machine) signal(code int32) bool {
	select {
	case m.killed <- code:
		return true
	default:
		return false
	}
}

func (m *machine) driver() bool { return m.pod.Labels[spark.LabelRole] == spark.RoleDriver }

func (m *machine) wait(ctx context.Context, kind Kind) error {
	return m.cluster.options.Pace.Wait(ctx, Step{Kind: kind, App: m.app, Pod: m.pod})
}

// run lives the pod's life. It ends early when the pod is gone.
func (m *machine) run() {
	err := m.live()
	if err != nil && m.ctx.Err() == nil && !errors.Is(err, errGone) {
		log.Log.WithName("simulation").Error(err, "A simulated pod stopped", "pod", m.key)
	}
}

func (m *machine) live() error {
	if m.pod.Status.Phase == corev1.PodFailed || m.pod.Status.Phase == corev1.PodSucceeded {
		return nil
	}
	restarts, resumed := restartsOf(m.pod), m.pod.Status.Phase == corev1.PodRunning
	if !resumed {
		if done, err := m.begin(); done || err != nil {
			return err
		}
	}
	for ; ; restarts++ {
		if !resumed {
			if err := m.setRunning(restarts); err != nil {
				return err
			}
		}
		code, err := m.execute(resumed)
		if err != nil {
			return err
		}
		resumed = false
		again, err := m.ended(code, restarts)
		if err != nil || !again {
			return err
		}
	}
}

// begin brings a pod to the start of its container. It answers whether the pod's
// life is over before that.
func (m *machine) begin() (over bool, err error) {
	if !m.cluster.options.Kubelet {
		select {
		case <-m.started.c:
			return false, nil
		case <-m.ctx.Done():
			return true, m.ctx.Err()
		}
	}
	if err := m.update(func(s *corev1.PodStatus) { m.creating(s) }); err != nil {
		return true, err
	}
	if refused, err := m.runInit(); refused || err != nil {
		return true, err
	}
	if err := m.waitUnlessTerminating(Start); err != nil {
		return true, err
	}
	if m.terminating.over() {
		return true, m.remove(Exit{Code: exitKilled}, "ContainerStatusUnknown", 0)
	}
	return false, nil
}

// waitUnlessTerminating is a step that the pod's deletion cuts short.
func (m *machine) waitUnlessTerminating(kind Kind) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	go func() {
		select {
		case <-m.terminating.c:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := m.wait(ctx, kind); err != nil && m.ctx.Err() != nil {
		return err
	}
	return nil
}

// runInit runs the init containers of the driver. It answers whether one refused.
func (m *machine) runInit() (refused bool, err error) {
	for i, c := range m.pod.Spec.InitContainers {
		if err := m.wait(m.ctx, Init); err != nil {
			return true, err
		}
		exit := m.cluster.script(m.app).Init[c.Name]
		if err := m.update(func(s *corev1.PodStatus) { m.initEnded(s, i, exit) }); err != nil {
			return true, err
		}
		if exit.Code != 0 {
			if err := m.update(m.refused); err != nil {
				return true, err
			}
			return true, m.discardIfDeleted()
		}
	}
	return false, nil
}

// execute runs the process until it ends, is killed, or its grace period is over.
func (m *machine) execute(resumed bool) (int32, error) {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	done := make(chan int32, 1)
	go func() {
		if m.driver() {
			done <- m.runDriver(ctx, resumed)
		} else {
			done <- m.runExecutor(ctx, resumed)
		}
	}()
	select {
	case code := <-done:
		return code, m.ctx.Err()
	case code := <-m.killed:
		cancel()
		<-done
		return code, m.ctx.Err()
	case <-m.graceOver(ctx):
		cancel()
		<-done
		return m.graceExit(), m.ctx.Err()
	case <-m.ctx.Done():
		cancel()
		<-done
		return 0, m.ctx.Err()
	}
}

// graceExit is the exit code at the end of the grace period. A hook that still runs
// then is followed by SIGTERM and two more seconds: enough for an executor, not for
// a driver.
func (m *machine) graceExit() int32 {
	if m.preStop() && !m.driver() {
		return exitTerminated
	}
	return exitKilled
}

// preStop says whether the container has a hook that holds SIGTERM back.
func (m *machine) preStop() bool {
	for _, c := range m.pod.Spec.Containers {
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
			return true
		}
	}
	return false
}

// graceOver is closed at the end of the pod's grace period.
func (m *machine) graceOver(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		select {
		case <-m.terminating.c:
		case <-ctx.Done():
			return
		}
		grace := ptr.Deref(m.pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
		if sleep(ctx, time.Duration(grace)*m.cluster.options.Second) == nil && m.wait(ctx, GraceOver) == nil {
			close(over)
		}
	}()
	return over
}

// ended writes the end of the container and answers whether it is started again.
func (m *machine) ended(code, restarts int32) (again bool, err error) {
	exit, reason := Exit{Code: code}, "Error"
	if code == 0 {
		reason = "Completed"
	}
	restart := m.pod.Spec.RestartPolicy == corev1.RestartPolicyAlways
	if m.terminating.over() {
		return false, m.remove(exit, reason, restarts)
	}
	if err := m.update(func(s *corev1.PodStatus) { m.terminated(s, exit, reason, restarts) }); err != nil {
		return false, err
	}
	if restart {
		return m.restart(exit, reason, restarts)
	}
	return false, m.finish(exit, reason, restarts)
}

// finish is the end of a pod after that of its container. A sidecar keeps the pod
// running until somebody deletes it.
func (m *machine) finish(exit Exit, reason string, restarts int32) error {
	if len(m.pod.Spec.Containers) > 1 {
		select {
		case <-m.terminating.c:
			return m.remove(exit, reason, restarts)
		case <-m.ctx.Done():
			return m.ctx.Err()
		}
	}
	if err := m.wait(m.ctx, Finish); err != nil {
		return err
	}
	if err := m.update(func(s *corev1.PodStatus) { m.finished(s, exit, reason, restarts) }); err != nil {
		return err
	}
	return m.discardIfDeleted()
}

// restart waits as the kubelet does: not at all the first time, then ten seconds,
// twice as long each time up to five minutes.
func (m *machine) restart(exit Exit, reason string, restarts int32) (bool, error) {
	m.loseExecutor()
	if restarts == 0 {
		return true, nil
	}
	const first, most = 10, 300
	seconds := min(first<<min(restarts-1, 5), most)
	select {
	case <-time.After(time.Duration(seconds) * m.cluster.options.Second):
	case <-m.terminating.c:
		return false, m.remove(exit, reason, restarts)
	case <-m.ctx.Done():
		return false, m.ctx.Err()
	}
	return true, m.update(func(s *corev1.PodStatus) { m.backingOff(s, restarts) })
}

// remove ends a pod that is being deleted.
func (m *machine) remove(exit Exit, reason string, restarts int32) error {
	if err := m.update(func(s *corev1.PodStatus) { m.finished(s, exit, reason, restarts) }); err != nil {
		return err
	}
	return m.discardIfDeleted()
}

// discardIfDeleted takes a finished pod away whose deletion was asked for. One that
// is deleted after its end the API server takes away by itself.
func (m *machine) discardIfDeleted() error {
	if !m.cluster.options.Kubelet || !m.terminating.over() {
		return nil
	}
	if err := m.wait(m.ctx, Remove); err != nil {
		return err
	}
	err := m.cluster.client.Delete(m.ctx, &corev1.Pod{ObjectMeta: m.pod.ObjectMeta}, client.GracePeriodSeconds(0),
		client.Preconditions{UID: ptr.To(m.pod.UID)})
	return client.IgnoreNotFound(err)
}

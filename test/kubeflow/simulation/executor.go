// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// runExecutor is an executor's process. Its result is the exit code: 1 when it
// finds no driver, 0 when the driver goes away or tells it to.
func (m *machine) runExecutor(ctx context.Context, resumed bool) int32 {
	d := m.cluster.driverOf(m.pod)
	if resumed && d == nil {
		d = m.awaitDriver(ctx)
	}
	if !resumed || !m.registered.over() {
		if d == nil || !d.reachable.over() || d.gone() {
			_ = m.wait(ctx, GiveUp)
			return 1
		}
		if m.wait(ctx, Register) != nil || d.gone() {
			return 1
		}
		if err := m.register(ctx, d); err != nil {
			return 1
		}
	}
	if d == nil {
		return 1
	}
	return m.work(ctx, d)
}

// awaitDriver gives the driver of a run from before the simulation began a while
// to be found.
func (m *machine) awaitDriver(ctx context.Context) *driver {
	const patience, poll = 5 * time.Second, 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if d := m.cluster.driverOf(m.pod); d != nil || sleep(ctx, poll) != nil {
			return d
		}
	}
}

// register gives the executor its id, which the driver writes to the pod. An
// executor that cannot have one, because its pod has just gone, ends like one that
// finds no driver.
func (m *machine) register(ctx context.Context, d *driver) error {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, spark.LabelExecutorID, d.executorID())
	pod := &corev1.Pod{ObjectMeta: m.pod.ObjectMeta}
	if err := m.cluster.client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return fmt.Errorf("label the pod of an executor: %w", err)
	}
	m.registered.close()
	return nil
}

func (m *machine) work(ctx context.Context, d *driver) int32 {
	select {
	case <-d.dead.c:
		return 0
	case <-d.stopped.c:
		return m.obey(ctx, d)
	case <-m.terminating.c:
		return m.leave(ctx, d)
	case <-ctx.Done():
		return 0
	}
}

// obey ends an executor that its driver told to stop. Where the driver has deleted
// the StatefulSet, the deletion of the pod comes first.
func (m *machine) obey(ctx context.Context, d *driver) int32 {
	if d.deletesExecutors() {
		select {
		case <-m.terminating.c:
		case <-ctx.Done():
		}
	}
	return 0
}

// leave is the end of an executor whose pod is deleted. One that may decommission
// is held by its preStop hook until that is done or the grace period over.
func (m *machine) leave(ctx context.Context, d *driver) int32 {
	if !m.preStop() {
		return exitTerminated
	}
	done := make(chan struct{})
	if m.decommissions(d) {
		go func() {
			if m.wait(ctx, Decommission) == nil {
				close(done)
			}
		}()
	}
	select {
	case <-done:
	case <-d.stopped.c:
	case <-d.dead.c:
	case <-ctx.Done():
	}
	return 0
}

// decommissions says whether an executor gets done with moving its blocks within
// the grace period: Spark looks again whether all are moved after an interval of
// its own, 30 s by default.
func (m *machine) decommissions(d *driver) bool {
	if !d.conf.Bool("spark.storage.decommission.enabled", false) {
		return true
	}
	interval, err := time.ParseDuration(d.conf["spark.storage.decommission.replicationReattemptInterval"])
	if err != nil {
		interval = 30 * time.Second
	}
	grace := ptr.Deref(m.pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	return interval < time.Duration(grace)*time.Second
}

// loseExecutor is what the driver does about the end of an executor that had
// registered: it deletes the pod, while the kubelet starts the container again.
func (m *machine) loseExecutor() {
	d := m.cluster.driverOf(m.pod)
	if d == nil || d.gone() || !d.deletesExecutors() || !m.registered.over() {
		return
	}
	err := m.cluster.client.Delete(m.ctx, &corev1.Pod{ObjectMeta: m.pod.ObjectMeta}, client.Preconditions{UID: ptr.To(m.pod.UID)})
	if client.IgnoreNotFound(err) != nil {
		m.complain(fmt.Errorf("delete the pod of a lost executor: %w", err))
	}
}

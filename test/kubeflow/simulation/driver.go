// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// run is a submission that the simulation knows of.
type run struct{ *spark.Run }

// driver is a driver process, as executors see it.
type driver struct {
	conf      spark.Conf
	reachable latch // Executors find it.
	stopped   latch // It told the executors to stop.
	dead      latch
	ends      chan int32

	mu   sync.Mutex
	next int // The executor id to give out.
}

func (d *driver) end(code int32) {
	select {
	case d.ends <- code:
	default:
	}
}

func (d *driver) gone() bool { return d.stopped.over() || d.dead.over() }

// executorID gives out the next id.
func (d *driver) executorID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	return strconv.Itoa(d.next)
}

// deletesExecutors is Spark's deleteOnTermination: the driver deletes pods of
// executors that failed, and the StatefulSet when it stops.
func (d *driver) deletesExecutors() bool {
	return d.conf.Bool("spark.kubernetes.executor.deleteOnTermination", true)
}

func (c *Cluster) driverOf(pod *corev1.Pod) *driver {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drivers[pod.Labels[spark.LabelAppID]]
}

// runOf is the run of a driver pod. One that was submitted before the simulation
// began is made up from the application as it is now.
func (c *Cluster) runOf(ctx context.Context, pod *corev1.Pod) (*run, error) {
	id := pod.Labels[spark.LabelAppID]
	c.mu.Lock()
	r, ok := c.runs[id]
	c.mu.Unlock()
	if ok {
		return r, nil
	}
	app := &sparkapi.SparkApplication{}
	if err := c.live.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: pod.Labels[spark.LabelAppName]}, app); err != nil {
		return nil, fmt.Errorf("read the application of driver %s: %w", pod.Name, err)
	}
	app.Status.SubmissionID = pod.Labels[spark.LabelSubmissionID]
	r = &run{Run: spark.NewRun(app)}
	r.ID = id
	return r, nil
}

// runDriver is the driver's process. Its result is the exit code.
func (m *machine) runDriver(ctx context.Context, resumed bool) int32 {
	r, err := m.cluster.runOf(ctx, m.pod)
	if err != nil {
		m.complain(err)
		return 1
	}
	d := m.cluster.openDriver(r)
	defer m.cluster.closeDriver(r.ID, d)
	if code := m.cluster.script(m.app).CrashEarly; code != nil && !resumed {
		if m.wait(ctx, Crash) == nil {
			return *code
		}
		return 0
	}
	up, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if err := m.bringUp(up, d, r); err != nil && up.Err() == nil {
			m.complain(err)
			d.end(1)
		}
	}()
	select {
	case code := <-d.ends:
		cancel()
		m.stopSpark(ctx, d, r)
		return code
	case <-m.terminating.c:
		cancel()
		m.stopSpark(ctx, d, r)
		if m.cluster.script(m.app).SlowStop {
			<-ctx.Done()
		}
		return exitTerminated
	case <-ctx.Done():
		return 0
	}
}

func (c *Cluster) openDriver(r *run) *driver {
	d := &driver{conf: r.Conf, reachable: newLatch(), stopped: newLatch(), dead: newLatch(), ends: make(chan int32, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drivers[r.ID] = d
	return d
}

func (c *Cluster) closeDriver(id string, d *driver) {
	d.dead.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.drivers, id)
	delete(c.runs, id)
}

// bringUp makes the driver ready and asks for executors.
func (m *machine) bringUp(ctx context.Context, d *driver, r *run) error {
	late := m.cluster.script(m.app).LateReadiness
	if d.conf.Bool("spark.kubernetes.executor.useDriverPodIP", false) {
		d.reachable.close()
	}
	if !late {
		if err := m.becomeReady(ctx, d); err != nil {
			return err
		}
	}
	if err := m.allocate(ctx, d, r); err != nil {
		return err
	}
	if late {
		return m.becomeReady(ctx, d)
	}
	return nil
}

// becomeReady passes the driver's probes. From then on its Service has an address.
func (m *machine) becomeReady(ctx context.Context, d *driver) error {
	if m.cluster.options.Kubelet && m.probed() {
		if err := m.wait(ctx, Ready); err != nil {
			return err
		}
		if err := m.update(func(s *corev1.PodStatus) { m.setReady(s, true) }); err != nil {
			return err
		}
	}
	d.reachable.close()
	return nil
}

// allocate makes the StatefulSet, unless it is there from before the simulation
// began.
func (m *machine) allocate(ctx context.Context, d *driver, r *run) error {
	if allocator := r.Conf[spark.AllocatorKey]; allocator != spark.AllocatorStatefulSet {
		log.Log.WithName("simulation").Info("No executors: only the statefulset allocator is simulated", "driver", m.key, "allocator", allocator)
		return nil
	}
	found := &appsv1.StatefulSet{}
	key := client.ObjectKey{Namespace: m.key.Namespace, Name: spark.StatefulSetName(r.ID)}
	err := m.cluster.live.Get(ctx, key, found)
	if err == nil {
		return m.countExecutors(ctx, d, r)
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("look for the executors' StatefulSet: %w", err)
	}
	if err := m.wait(ctx, Allocate); err != nil {
		return err
	}
	set, err := r.Executors(m.pod)
	if err != nil {
		return err
	}
	if err := m.cluster.client.Create(ctx, set); err != nil {
		return fmt.Errorf("make the executors' StatefulSet: %w", err)
	}
	return nil
}

// countExecutors goes on after the highest executor id that was given out.
func (m *machine) countExecutors(ctx context.Context, d *driver, r *run) error {
	pods := &corev1.PodList{}
	if err := m.cluster.live.List(ctx, pods, client.InNamespace(m.key.Namespace),
		client.MatchingLabels{spark.LabelAppID: r.ID, spark.LabelRole: spark.RoleExecutor}); err != nil {
		return fmt.Errorf("list the executors: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range pods.Items {
		if id, err := strconv.Atoi(pods.Items[i].Labels[spark.LabelExecutorID]); err == nil {
			d.next = max(d.next, id)
		}
	}
	return nil
}

// stopSpark is an orderly stop: the StatefulSet is deleted, unless executors' pods
// are kept, and the executors are told to stop.
func (m *machine) stopSpark(ctx context.Context, d *driver, r *run) {
	if m.wait(ctx, Stop) != nil {
		return
	}
	if d.deletesExecutors() {
		set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: m.key.Namespace, Name: spark.StatefulSetName(r.ID)}}
		err := m.cluster.client.Delete(ctx, set, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			m.complain(fmt.Errorf("delete the executors' StatefulSet: %w", err))
		}
	}
	d.stopped.close()
	_ = m.wait(ctx, Quit) // A kill cuts it short, and ends the process all the same.
}

func (m *machine) complain(err error) {
	log.Log.WithName("simulation").Error(err, "A simulated process failed", "pod", m.key)
}

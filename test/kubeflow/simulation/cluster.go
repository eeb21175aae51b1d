// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Options of a simulation.
type Options struct {
	// Pace of what happens.
	Pace Pace
	// Second is how long a second of grace periods and of the kubelet's back-off
	// takes. Default: one second.
	Second time.Duration
	// Kubelet runs Spark's pods: it writes their statuses, restarts containers and
	// removes deleted pods. Without it the cluster starts and removes pods, and
	// only ends of containers are written here.
	Kubelet bool
	// Node is what pods are bound to. Empty: a scheduler does that.
	Node string
	// StatefulSets makes the executors' pods.
	StatefulSets bool
	// GarbageCollector deletes what applications, pods and StatefulSets owned.
	GarbageCollector bool
}

// Exit is how a container ended.
type Exit struct {
	Code    int32
	Message string
}

// Script is how the driver of an application behaves, in every run from the next
// step on.
type Script struct {
	// Init ends init containers, by name. Those not in it end with 0.
	Init map[string]Exit
	// CrashEarly ends each driver with this code before it is ready.
	CrashEarly *int32
	// SlowStop makes a driver that is to stop run to the end of its grace period.
	SlowStop bool
	// LateReadiness lets the driver's probes pass only after the executors were
	// asked for.
	LateReadiness bool
}

// Cluster is a simulation at work.
type Cluster struct {
	client  client.Client
	live    client.Reader
	options Options

	mu       sync.Mutex
	base     context.Context
	machines map[types.UID]*machine
	drivers  map[string]*driver // By Spark's application id.
	runs     map[string]*run
	scripts  map[client.ObjectKey]Script
	addresses
}

// Add adds a simulation to a manager, whose scheme must know SparkApplications and
// the kinds of Kubernetes. Its pods live as long as the manager runs; those that
// it finds it goes on with.
func Add(mgr manager.Manager, options Options) (*Cluster, error) {
	if options.Second == 0 {
		options.Second = time.Second
	}
	c := &Cluster{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), options: options,
		machines: map[types.UID]*machine{}, drivers: map[string]*driver{}, runs: map[string]*run{},
		scripts: map[client.ObjectKey]Script{},
	}
	base, end := context.WithCancel(context.Background())
	c.base = base
	err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		end()
		return nil
	}))
	if err == nil {
		err = c.addPods(mgr)
	}
	if err == nil && options.StatefulSets {
		err = c.addStatefulSets(mgr)
	}
	if err == nil && options.GarbageCollector {
		err = c.addGarbageCollector(mgr)
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("set up the simulation: %w", err)
	}
	return c, nil
}

// SetScript says how an application's drivers behave.
func (c *Cluster) SetScript(app client.ObjectKey, script Script) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scripts[app] = script
}

func (c *Cluster) script(app client.ObjectKey) Script {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scripts[app]
}

// Kill ends the Spark container of a pod with an exit code, as a signal from
// outside does. The process does nothing more.
func (c *Cluster) Kill(pod *corev1.Pod, code int32) error {
	m := c.machine(pod.UID)
	if m == nil || !m.signal(code) {
		return fmt.Errorf("kill the container of %s: it does not run here", pod.Name)
	}
	return nil
}

// EndStream ends a driver in order, with an exit code.
func (c *Cluster) EndStream(pod *corev1.Pod, code int32) error {
	d := c.driverOf(pod)
	if d == nil {
		return fmt.Errorf("end the stream of %s: it does not run here", pod.Name)
	}
	d.end(code)
	return nil
}

func (c *Cluster) machine(uid types.UID) *machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machines[uid]
}

// addresses gives out pod addresses.
type addresses struct{ last uint32 }

func (c *Cluster) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	return fmt.Sprintf("10.%d.%d.%d", 100+c.last>>16&0x7f, c.last>>8&0xff, c.last&0xff)
}

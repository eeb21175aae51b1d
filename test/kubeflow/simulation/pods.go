// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// ExitAnnotation on a Spark pod ends its container with the exit code that is the
// annotation's value: how a person kills a simulated process.
const ExitAnnotation = "standin.sparkpipeline.dev/exit"

func (c *Cluster) addPods(mgr manager.Manager) error {
	launched := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[spark.LabelLaunched] == "true" })
	return ctrl.NewControllerManagedBy(mgr).Named("spark-pods").
		For(&corev1.Pod{}, builder.WithPredicates(launched)).
		WithOptions(controller.Options{SkipNameValidation: ptr.To(true)}).
		Complete(reconcile.Func(c.seePod))
}

// seePod tells the machine of a pod what became of the pod, or begins one.
func (c *Cluster) seePod(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	pod := &corev1.Pod{}
	err := c.client.Get(ctx, req.NamespacedName, pod)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	there := err == nil
	c.forgetOthers(req.NamespacedName, pod.UID)
	if !there || pod.Spec.NodeName == "" {
		return ctrl.Result{}, nil
	}
	c.begin(pod).see(pod)
	return ctrl.Result{}, nil
}

// forgetOthers ends the machines of earlier pods of the same name.
func (c *Cluster) forgetOthers(key client.ObjectKey, uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other, m := range c.machines {
		if other != uid && m.key == key {
			m.cancel()
			delete(c.machines, other)
		}
	}
}

func (c *Cluster) begin(pod *corev1.Pod) *machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.machines[pod.UID]
	if !ok {
		m = newMachine(c, pod)
		c.machines[pod.UID] = m
		go m.run()
	}
	return m
}

// see notes that a pod is being deleted, runs, or is to be killed.
func (m *machine) see(pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil {
		m.terminating.close()
	}
	if pod.Status.Phase == corev1.PodRunning {
		m.started.close()
	}
	if code, err := strconv.ParseInt(pod.Annotations[ExitAnnotation], 10, 32); err == nil && m.kills != pod.Annotations[ExitAnnotation] {
		m.kills = pod.Annotations[ExitAnnotation]
		m.signal(int32(code))
	}
}

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// cluster plays the controllers that an API server alone lacks, as far as the
// operator waits for them: applications run and suspend, deployments become ready,
// certificates are issued, claims and namespaces go when they are deleted.
type cluster struct {
	run *run

	mu    sync.Mutex
	queue []change
	wake  chan struct{}
	quit  chan struct{}
	done  chan struct{}
	// driver is the name of the live driver's pod.
	driver string
	served map[types.UID]bool
}

func newCluster(r *run) *cluster {
	c := &cluster{run: r, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), served: map[types.UID]bool{}}
	go c.loop()
	return c
}

func (c *cluster) stop() {
	close(c.quit)
	<-c.done
}

func (c *cluster) notice(x change) {
	c.mu.Lock()
	c.queue = append(c.queue, x)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *cluster) loop() {
	defer close(c.done)
	for {
		c.mu.Lock()
		todo := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, x := range todo {
			if err := c.act(context.Background(), x); err != nil && !apierrors.IsNotFound(err) {
				c.run.breach("the cluster's stand-in, on %s %s: %v", x.object().GetKind(), x.object().GetName(), err)
			}
		}
		if len(todo) > 0 {
			continue
		}
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
	}
}

func (c *cluster) act(ctx context.Context, x change) error {
	switch o := x.object(); o.GetKind() {
	case "SparkApplication":
		return c.application(ctx, x)
	case "Deployment":
		if x.after == nil {
			return nil
		}
		want, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		ready, _, _ := unstructured.NestedInt64(o.Object, "status", "readyReplicas")
		seen, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
		if ready == want && seen == o.GetGeneration() {
			return nil
		}
		return c.status(ctx, o, map[string]any{"observedGeneration": o.GetGeneration(),
			"replicas": want, "updatedReplicas": want, "readyReplicas": want, "availableReplicas": want})
	case "Issuer", "Certificate":
		if x.after == nil || c.served[o.GetUID()] {
			return nil
		}
		c.served[o.GetUID()] = true
		return c.status(ctx, o, map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}})
	case "PersistentVolumeClaim":
		if x.after == nil || o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) == 0 {
			return nil
		}
		return base.admin.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	case "Namespace":
		if x.after == nil || o.GetDeletionTimestamp() == nil {
			return nil
		}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetName(), ResourceVersion: o.GetResourceVersion()}}
		return base.admin.SubResource("finalize").Update(ctx, ns)
	}
	return nil
}

func (c *cluster) status(ctx context.Context, o *unstructured.Unstructured, status map[string]any) error {
	next := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	next.SetGroupVersionKind(o.GroupVersionKind())
	next.SetName(o.GetName())
	next.SetNamespace(o.GetNamespace())
	text, err := next.MarshalJSON()
	if err != nil {
		return err
	}
	return base.admin.Status().Patch(ctx, next, client.RawPatch(types.MergePatchType, text), client.FieldOwner("stand-in"))
}

// application runs what is new, stops what is to be suspended, and lets the
// driver's pod go with the object.
func (c *cluster) application(ctx context.Context, x change) error {
	if x.after == nil {
		return c.stopDriver(ctx)
	}
	o := x.after
	if x.before == nil && c.driver != "" {
		c.run.breach("a SparkApplication was created while the driver of the one before was alive")
	}
	if o.GetDeletionTimestamp() != nil {
		return nil
	}
	state, _, _ := unstructured.NestedString(o.Object, "status", "applicationState", "state")
	suspend, _, _ := unstructured.NestedBool(o.Object, "spec", "suspend")
	switch {
	case suspend && state != "SUSPENDED":
		if err := c.stopDriver(ctx); err != nil {
			return err
		}
		return c.appStatus(ctx, o, "SUSPENDED")
	case !suspend && state == "":
		if err := c.startDriver(ctx, o); err != nil {
			return err
		}
		return c.appStatus(ctx, o, "RUNNING")
	}
	return nil
}

func (c *cluster) appStatus(ctx context.Context, o *unstructured.Unstructured, state string) error {
	return c.status(ctx, o, map[string]any{"executionAttempts": 1, "lastSubmissionAttemptTime": metav1.Now().Rfc3339Copy().UTC().Format("2006-01-02T15:04:05Z"),
		"driverInfo": map[string]any{"podName": o.GetName() + "-driver"}, "applicationState": map[string]any{"state": state}})
}

// startDriver makes the driver's pod as Spark would, with what the profile
// restricted of a dedicated namespace asks for.
func (c *cluster) startDriver(ctx context.Context, o *unstructured.Unstructured) error {
	if c.driver != "" {
		return nil
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName() + "-driver", Labels: map[string]string{
			desired.LabelPipeline: o.GetName(), desired.LabelPipelineNamespace: c.run.namespace,
			desired.LabelSparkRole: "driver", desired.LabelSparkApp: "spark-0123"}},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "spark-kubernetes-driver", Image: "i", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				Resources: corev1.ResourceRequirements{}}},
		},
	}
	if err := base.admin.Create(ctx, pod); err != nil {
		return err
	}
	c.driver = pod.Name
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return base.admin.Status().Update(ctx, pod)
}

func (c *cluster) stopDriver(ctx context.Context) error {
	if c.driver == "" {
		return nil
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.run.workload, Name: c.driver}}
	if err := client.IgnoreNotFound(base.admin.Delete(ctx, pod, client.GracePeriodSeconds(0))); err != nil {
		return err
	}
	c.driver = ""
	return nil
}

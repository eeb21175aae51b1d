// SPDX-License-Identifier: Apache-2.0

package observe

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// TrimPod keeps of a pod what a decision needs: of one of Spark its guard and what
// keeps it from starting, of one of the agent also what it said when it ended.
func TrimPod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	kept := &corev1.Pod{
		TypeMeta:   pod.TypeMeta,
		ObjectMeta: trimMeta(pod.ObjectMeta),
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status:     corev1.PodStatus{Phase: pod.Status.Phase, Reason: pod.Status.Reason},
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady || c.Type == corev1.PodScheduled {
			kept.Status.Conditions = append(kept.Status.Conditions, corev1.PodCondition{Type: c.Type, Status: c.Status, Message: c.Message})
		}
	}
	agent := pod.Labels[desired.LabelPipeline] == ""
	if agent {
		kept.Status.PodIP = pod.Status.PodIP
	}
	for _, c := range pod.Status.ContainerStatuses {
		k := corev1.ContainerStatus{Name: c.Name, RestartCount: c.RestartCount, State: corev1.ContainerState{Waiting: stuck(c)}}
		if agent {
			k.State.Terminated, k.LastTerminationState.Terminated = ended(c.State.Terminated), ended(c.LastTerminationState.Terminated)
		}
		kept.Status.ContainerStatuses = append(kept.Status.ContainerStatuses, k)
	}
	for _, c := range pod.Status.InitContainerStatuses {
		k := corev1.ContainerStatus{Name: c.Name, State: corev1.ContainerState{Waiting: stuck(c)}}
		if c.Name == desired.GuardContainer {
			k.State.Terminated = ended(c.State.Terminated)
		}
		if k.State.Terminated != nil || k.State.Waiting != nil {
			kept.Status.InitContainerStatuses = append(kept.Status.InitContainerStatuses, k)
		}
	}
	return kept, nil
}

// stuck keeps why a container waits, unless it is on its way.
func stuck(c corev1.ContainerStatus) *corev1.ContainerStateWaiting {
	if w := c.State.Waiting; w != nil && !underWay[w.Reason] {
		return &corev1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}
	}
	return nil
}

// ended keeps how a container ended and what it said.
func ended(t *corev1.ContainerStateTerminated) *corev1.ContainerStateTerminated {
	if t == nil {
		return nil
	}
	return &corev1.ContainerStateTerminated{ExitCode: t.ExitCode, Reason: t.Reason, Message: t.Message, FinishedAt: t.FinishedAt}
}

// TrimStatefulSet keeps of a StatefulSet its size. Those of Spark carry no
// label, so all are watched; of others only the name is kept.
func TrimStatefulSet(o any) (any, error) {
	set, ok := o.(*appsv1.StatefulSet)
	if !ok {
		return o, nil
	}
	kept := &appsv1.StatefulSet{TypeMeta: set.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: set.Name, Namespace: set.Namespace, UID: set.UID, ResourceVersion: set.ResourceVersion,
	}}
	if !desired.IsExecutorSet(set.Name) {
		return kept, nil
	}
	kept.OwnerReferences = set.OwnerReferences
	kept.DeletionTimestamp = set.DeletionTimestamp
	kept.Spec.Replicas = set.Spec.Replicas
	kept.Spec.Template.Labels = set.Spec.Template.Labels
	kept.Status.ReadyReplicas = set.Status.ReadyReplicas
	return kept, nil
}

// TrimApplication keeps of a SparkApplication what a decision needs. The states
// of its executors change all the time and are not among it.
func TrimApplication(o any) (any, error) {
	app, ok := o.(*sparkapi.SparkApplication)
	if !ok {
		return o, nil
	}
	kept := &sparkapi.SparkApplication{TypeMeta: app.TypeMeta, ObjectMeta: trimMeta(app.ObjectMeta)}
	kept.Annotations = app.Annotations
	kept.Spec.Suspend = app.Spec.Suspend
	kept.Status = app.Status
	kept.Status.ExecutorState = nil
	return kept, nil
}

func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Generation: m.Generation, Labels: m.Labels, OwnerReferences: m.OwnerReferences,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
	}
}

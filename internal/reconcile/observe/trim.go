// SPDX-License-Identifier: Apache-2.0

package observe

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// TrimPod keeps of a pod what a decision needs.
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
	for _, c := range pod.Status.ContainerStatuses {
		kept.Status.ContainerStatuses = append(kept.Status.ContainerStatuses,
			corev1.ContainerStatus{Name: c.Name, RestartCount: c.RestartCount})
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if t := c.State.Terminated; c.Name == desired.GuardContainer && t != nil {
			kept.Status.InitContainerStatuses = append(kept.Status.InitContainerStatuses, corev1.ContainerStatus{Name: c.Name,
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: t.ExitCode, Message: t.Message, FinishedAt: t.FinishedAt}}})
		}
	}
	return kept, nil
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

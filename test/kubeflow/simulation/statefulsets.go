// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func (c *Cluster) addStatefulSets(mgr manager.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("statefulset").
		For(&appsv1.StatefulSet{}).Owns(&corev1.Pod{}).
		WithOptions(controller.Options{SkipNameValidation: ptr.To(true)}).
		Complete(reconcile.Func(c.reconcileStatefulSet))
}

// reconcileStatefulSet makes and deletes pods by ordinal, all at once, the highest
// first to go, and counts them.
func (c *Cluster) reconcileStatefulSet(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	set := &appsv1.StatefulSet{}
	if err := c.client.Get(ctx, req.NamespacedName, set); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if set.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	pods, err := c.podsOf(ctx, set)
	if err != nil {
		return ctrl.Result{}, err
	}
	replicas := int(ptr.Deref(set.Spec.Replicas, 1))
	for ordinal := range replicas {
		if pods[ordinal] != nil {
			continue
		}
		if err := c.client.Create(ctx, c.podOf(set, ordinal)); err != nil && !apierrors.IsAlreadyExists(err) {
			return ctrl.Result{}, fmt.Errorf("make pod %d of %s: %w", ordinal, set.Name, err)
		}
	}
	for ordinal, pod := range pods {
		if ordinal < replicas || pod.DeletionTimestamp != nil {
			continue
		}
		if err := c.client.Delete(ctx, pod); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("delete pod %d of %s: %w", ordinal, set.Name, err)
		}
	}
	return ctrl.Result{}, c.count(ctx, set, pods)
}

// podsOf are the pods of a StatefulSet by ordinal.
func (c *Cluster) podsOf(ctx context.Context, set *appsv1.StatefulSet) (map[int]*corev1.Pod, error) {
	list := &corev1.PodList{}
	if err := c.client.List(ctx, list, client.InNamespace(set.Namespace), client.MatchingLabels(set.Spec.Selector.MatchLabels)); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", set.Name, err)
	}
	pods := map[int]*corev1.Pod{}
	for i := range list.Items {
		ordinal, err := strconv.Atoi(strings.TrimPrefix(list.Items[i].Name, set.Name+"-"))
		if err == nil && metav1.IsControlledBy(&list.Items[i], set) {
			pods[ordinal] = &list.Items[i]
		}
	}
	return pods, nil
}

func (c *Cluster) podOf(set *appsv1.StatefulSet, ordinal int) *corev1.Pod {
	name := fmt.Sprintf("%s-%d", set.Name, ordinal)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: name, GenerateName: set.Name + "-",
			Labels: maps.Clone(set.Spec.Template.Labels), Annotations: set.Spec.Template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	pod.Labels[appsv1.StatefulSetPodNameLabel] = name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
	pod.Spec.Hostname, pod.Spec.NodeName = name, c.options.Node
	return pod
}

func (c *Cluster) count(ctx context.Context, set *appsv1.StatefulSet, pods map[int]*corev1.Pod) error {
	var ready int32
	for _, pod := range pods {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation, Replicas: int32(len(pods)), ReadyReplicas: ready, AvailableReplicas: ready,
		CurrentReplicas: int32(len(pods)), UpdatedReplicas: int32(len(pods)), CollisionCount: ptr.To[int32](0),
	}
	if set.Status.ObservedGeneration == status.ObservedGeneration && set.Status.Replicas == status.Replicas && set.Status.ReadyReplicas == ready {
		return nil
	}
	set = set.DeepCopy()
	set.Status = status
	err := c.client.Status().Update(ctx, set)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // The event of that change comes next.
	}
	if err != nil {
		return fmt.Errorf("count the pods of %s: %w", set.Name, err)
	}
	return nil
}

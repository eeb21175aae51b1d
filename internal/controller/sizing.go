// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/status"
)

// size sets the number of executors where no autoscaler does: of a fixed size at
// any time, and once after the backend itself has started the application again
// with the size that it was rendered with.
func (r *Reconciler) size(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings, pass *status.Pass) error {
	set := s.run.Executors
	if set == nil || set.Spec.Replicas == nil || set.DeletionTimestamp != nil || s.decision.Step != application.StepNone {
		return nil
	}
	want := p.Spec.Executor.Instances
	if p.Spec.Scaling.State == v1alpha1.StateEnabled {
		want = nextSize(p, s.bounds)
		if pass.Application.SizedRun == s.run.AppSelector || want == 0 {
			return nil
		}
	}
	if *set.Spec.Replicas != want {
		if err := r.scale(ctx, set.Namespace, set.Name, want); err != nil {
			return err
		}
		pass.Executors.Wanted = want
	}
	pass.Application.SizedRun = s.run.AppSelector
	return nil
}

// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=statefulsets/scale,verbs=patch

func (r *Reconciler) scale(ctx context.Context, namespace, name string, replicas int32) error {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	err := r.Client.SubResource("scale").Patch(ctx, set, client.RawPatch(types.MergePatchType, []byte(patch)))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("scale StatefulSet %s to %d: %w", name, replicas, err)
	}
	return nil
}

// nextSize is the size that the next run is to have: the one wanted last, within
// the bounds. 0 leaves it to the spec.
func nextSize(p *v1alpha1.SparkPipeline, b desired.Bounds) int32 {
	if p.Spec.Scaling.State != v1alpha1.StateEnabled || p.Status.Executors == nil || p.Status.Executors.Wanted == 0 {
		return 0
	}
	return min(max(p.Status.Executors.Wanted, b.Min), b.Max)
}

// executors counts the executors of the live run. The size wanted last is kept
// while nothing runs.
func executors(p *v1alpha1.SparkPipeline, s *surroundings) *v1alpha1.ExecutorsStatus {
	e := &v1alpha1.ExecutorsStatus{Wanted: p.Spec.Executor.Instances}
	if p.Status.Executors != nil && p.Status.Executors.Wanted > 0 && p.Spec.Scaling.State == v1alpha1.StateEnabled {
		e.Wanted = p.Status.Executors.Wanted
	}
	if set := s.run.Executors; set != nil {
		e.Ready = set.Status.ReadyReplicas
		sized := recorded(p).SizedRun == s.run.AppSelector
		if sized || p.Status.Executors == nil {
			e.Wanted = ptr.Deref(set.Spec.Replicas, e.Wanted)
		}
	}
	return e
}

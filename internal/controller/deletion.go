// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/status"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// recheck is how long deletion waits before it looks again for what no watch
// announces. A watch usually wakes it earlier.
const recheck = 2 * time.Second

// finalize stops the application, waits until no pod of it is left, then removes
// the children in reverse order. It needs the pipeline's name and deletion
// policy, never a spec that can be built.
func (r *Reconciler) finalize(ctx context.Context, p *v1alpha1.SparkPipeline) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(p, Finalizer) {
		return ctrl.Result{}, nil
	}
	pass := r.newPass(p)
	pass.Deleting = true
	gone, after, err := r.tearDown(ctx, p, &pass)
	if err == nil && gone {
		err := r.dropFinalizer(ctx, p)
		if apierrors.IsConflict(err) {
			// The cache has yet to show the last write; nothing is wrong.
			return ctrl.Result{RequeueAfter: recheck}, nil
		}
		return ctrl.Result{}, err
	}
	pass.Failure = explain(err)
	if pass.Failure != nil {
		pass.DeletionWaits = "deletion goes on when this is settled: " + pass.Failure.Message
	}
	if err := errors.Join(err, r.report(ctx, p, pass)); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// tearDown takes the next step of a deletion and says whether nothing is left.
func (r *Reconciler) tearDown(ctx context.Context, p *v1alpha1.SparkPipeline, pass *status.Pass) (bool, time.Duration, error) {
	run, err := r.observer().Run(ctx, p, p.WorkloadNamespace(), r.APIs.Installed(sparkapi.GroupVersionKind))
	if err != nil {
		return false, 0, err
	}
	s := &surroundings{run: run, input: desired.Input{Pipeline: p}}
	if err := r.settle(ctx, p, s); err != nil {
		return false, 0, err
	}
	s.wanted = application.Wanted{StopReason: application.StopDeleted}
	if s.run.Application.App != nil {
		s.decision = application.Decide(s.wanted, p.Status.Application, s.run.Application, r.Limits, r.Clock.Now())
		pass.Decision, pass.Application = &s.decision, record(p.Status.Application, s)
		pass.DeletionWaits = "stops the application: " + s.decision.Message
		again, err := r.stop(ctx, p, s, pass)
		if again || err != nil {
			return false, soon, err
		}
		return false, max(s.decision.After, recheck), nil
	}
	s.decision.Step = application.StepNone
	if err := r.fence(ctx, p, s); err != nil {
		return false, 0, err
	}
	if s.decision.Step == application.StepAwait {
		pass.DeletionWaits = s.decision.Message
		return false, recheck, nil
	}
	left, err := r.removeChildren(ctx, p)
	if err != nil {
		return false, 0, err
	}
	pass.DeletionWaits = "removes the children; left: " + left
	return left == "", recheck, nil
}

// removeChildren deletes the last wave that still has members and names them. The
// namespace comes after all others: whether it may go is judged by what is left
// in it.
func (r *Reconciler) removeChildren(ctx context.Context, p *v1alpha1.SparkPipeline) (string, error) {
	all := r.APIs.Kinds()
	kinds := slices.DeleteFunc(slices.Clone(all), isNamespace)
	if p.Spec.DeletionPolicy != v1alpha1.DeletionDelete {
		kinds = apply.WithoutDurable(kinds)
	}
	left, err := r.Engine.DeleteWave(ctx, desired.OwnerLabels(p), kinds, r.scope(p))
	if err != nil {
		return "", fmt.Errorf("remove children: %w", err)
	}
	if left != "" || p.Spec.DeletionPolicy != v1alpha1.DeletionDelete || !r.ClusterWide {
		return left, nil
	}
	keep, err := r.keepsNamespace(ctx, p)
	if keep || err != nil {
		return "", err
	}
	only := slices.DeleteFunc(slices.Clone(all), func(k apply.Kind) bool { return !isNamespace(k) })
	if left, err = r.Engine.DeleteWave(ctx, desired.OwnerLabels(p), only, r.scope(p)); err != nil {
		return "", fmt.Errorf("remove the namespace: %w", err)
	}
	return left, nil
}

func isNamespace(k apply.Kind) bool {
	return k.GVK.GroupKind() == corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind()
}

// keepsNamespace says that the dedicated namespace must stay: somebody else put
// the pipeline's label on it, so it was there first, or it holds a claim, all of
// ours being gone. It asks the API server, for a cache could be older than either.
func (r *Reconciler) keepsNamespace(ctx context.Context, p *v1alpha1.SparkPipeline) (bool, error) {
	found := &metav1.PartialObjectMetadataList{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.Live.List(ctx, found, client.MatchingLabels(desired.OwnerLabels(p))); err != nil {
		return true, fmt.Errorf("list namespaces to delete: %w", err)
	}
	for _, ns := range found.Items {
		if labelledByOther(ns.ManagedFields) {
			return true, nil
		}
		claims := &metav1.PartialObjectMetadataList{}
		claims.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
		if err := r.Live.List(ctx, claims, client.InNamespace(ns.Name), client.Limit(1)); err != nil {
			return true, fmt.Errorf("look for claims in namespace %s: %w", ns.Name, err)
		}
		if len(claims.Items) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// labelledByOther says that another manager owns the label that names the
// pipeline. It still does after the operator has applied the same value.
func labelledByOther(entries []metav1.ManagedFieldsEntry) bool {
	return slices.ContainsFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager != apply.FieldManager && e.FieldsV1 != nil &&
			bytes.Contains(e.FieldsV1.Raw, []byte(`"f:`+desired.LabelPipeline+`"`))
	})
}

// scope is where children of p can be. Where the operator may look everywhere it
// does, so that nothing is left of a namespace that the spec named before.
func (r *Reconciler) scope(p *v1alpha1.SparkPipeline) apply.Scope {
	if r.ClusterWide {
		return apply.Scope{}
	}
	return apply.Scope{Namespaces: []string{p.WorkloadNamespace()}}
}

func (r *Reconciler) dropFinalizer(ctx context.Context, p *v1alpha1.SparkPipeline) error {
	next := p.DeepCopy()
	controllerutil.RemoveFinalizer(next, Finalizer)
	err := r.Client.Patch(ctx, next, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{}), client.FieldOwner(apply.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	r.forget(client.ObjectKeyFromObject(p))
	return nil
}

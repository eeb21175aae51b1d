// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
)

// tell makes an Event of each condition whose status or reason changed.
func (r *Reconciler) tell(before, after *v1alpha1.SparkPipeline) {
	for _, c := range after.Status.Conditions {
		if c.Type == v1alpha1.ConditionReconciling || c.Type == v1alpha1.ConditionStalled || c.Type == v1alpha1.ConditionReady {
			continue
		}
		old := meta.FindStatusCondition(before.Status.Conditions, c.Type)
		if old != nil && old.Status == c.Status && old.Reason == c.Reason {
			continue
		}
		if old == nil && c.Status != metav1.ConditionFalse {
			continue
		}
		kind := corev1.EventTypeNormal
		if c.Status == metav1.ConditionFalse && c.Type != v1alpha1.ConditionApplicationRunning {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(after, nil, kind, c.Reason, "Reconcile", "%s: %s", c.Type, c.Message)
	}
}

// tellChild makes an Event of a child that was brought back. The first creation
// of a child is no news.
func (r *Reconciler) tellChild(p *v1alpha1.SparkPipeline, result apply.Result, what string) {
	known := result.Before.UID != ""
	// Events of different versions of the pipeline would not be counted as one.
	p = p.DeepCopy()
	p.ResourceVersion = ""
	switch {
	case result.Outcome == apply.Created && known:
		r.Recorder.Eventf(p, nil, corev1.EventTypeNormal, "ChildRecreated", "Apply", "%s was gone and is back", what)
	case result.Outcome == apply.Applied && known && result.Before.Applied == result.Memory.Applied:
		r.Recorder.Eventf(p, nil, corev1.EventTypeNormal, "ChildRepaired", "Apply", "%s was edited and is as before", what)
	}
}

// compareChildren orders children as they are listed in the status.
func compareChildren(a, b v1alpha1.ChildStatus) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
)

// A watch tells of the present driver only if it became ready after that driver's
// guard had ended, and never takes back what is known.
func TestWitnessed(t *testing.T) {
	ended := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	p := &v1alpha1.SparkPipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders"}}
	p.Spec.Checkpoint.Queries = []v1alpha1.QuerySpec{{Name: "totals", Path: "sums/all"}, {Name: "agg"}}
	for _, c := range []struct {
		what      string
		available corev1.ConditionStatus
		since     time.Time
		ended     time.Time
		known     []v1alpha1.CheckpointRoot
		want      map[string]int64
	}{
		{"ready after the guard", corev1.ConditionTrue, ended.Add(time.Second), ended, nil, map[string]int64{"agg": 0, "sums/all": 0}},
		{"one is known", corev1.ConditionTrue, ended.Add(time.Second), ended, []v1alpha1.CheckpointRoot{{Path: "agg", Committed: 41}}, map[string]int64{"agg": 41, "sums/all": 0}},
		{"ready before, of an earlier driver", corev1.ConditionTrue, ended.Add(-time.Second), ended, nil, nil},
		{"ready in the second that the guard ended in", corev1.ConditionTrue, ended, ended, nil, nil},
		{"not ready", corev1.ConditionFalse, ended.Add(time.Second), ended, nil, nil},
		{"no time of the guard", corev1.ConditionTrue, ended.Add(time.Second), time.Time{}, nil, nil},
	} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders-watch"}}
		d.Status.Conditions = []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(ended.Add(time.Hour))},
			{Type: appsv1.DeploymentAvailable, Status: c.available, LastTransitionTime: metav1.NewTime(c.since)},
		}
		r := &Reconciler{Cache: fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(d).Build()}
		status := &v1alpha1.CheckpointStatus{Roots: c.known}
		if err := r.witnessed(t.Context(), p, status, &observe.Verdict{Ended: c.ended}); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := roots(status)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
		for path, batch := range c.want {
			if found, ok := got[path]; !ok || found != batch {
				t.Errorf("%s: %v, want %v", c.what, got, c.want)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// Driver on demand, executors on spot, in the words of each cloud. Labels and
// taints are those that the cloud's own documentation gives for its spot nodes.
func TestPresets(t *testing.T) {
	spot := func(key, value string) *corev1.Toleration {
		return &corev1.Toleration{Key: key, Operator: corev1.TolerationOpEqual, Value: value, Effect: corev1.TaintEffectNoSchedule}
	}
	want := map[string]struct {
		driver, executor map[string]string
		toleration       *corev1.Toleration
	}{
		"none":      {},
		"eks":       {driver: map[string]string{"eks.amazonaws.com/capacityType": "ON_DEMAND"}, executor: map[string]string{"eks.amazonaws.com/capacityType": "SPOT"}},
		"gke":       {executor: map[string]string{"cloud.google.com/gke-spot": "true"}, toleration: spot("cloud.google.com/gke-spot", "true")},
		"aks":       {executor: map[string]string{"kubernetes.azure.com/scalesetpriority": "spot"}, toleration: spot("kubernetes.azure.com/scalesetpriority", "spot")},
		"karpenter": {driver: map[string]string{"karpenter.sh/capacity-type": "on-demand"}, executor: map[string]string{"karpenter.sh/capacity-type": "spot"}},
	}
	presets := desired.Presets()
	if len(presets) != len(want) {
		t.Errorf("there are %d presets, expected %d", len(presets), len(want))
	}
	for name, w := range want {
		in := caseNamed(t, "minimal")
		in.Defaults.Placement = presets[name]
		r, err := desired.Application(scheme(t), in)
		if err != nil {
			t.Fatal(err)
		}
		driver, executor := pod(t, r, "driver").Spec, pod(t, r, "executor").Spec
		if diff := difference(w.driver, driver.NodeSelector); diff != "" {
			t.Errorf("%s: the driver's nodes:\n%s", name, diff)
		}
		if diff := difference(w.executor, executor.NodeSelector); diff != "" {
			t.Errorf("%s: the executors' nodes:\n%s", name, diff)
		}
		var tolerations []corev1.Toleration
		if w.toleration != nil {
			tolerations = []corev1.Toleration{*w.toleration}
		}
		if diff := difference(tolerations, executor.Tolerations); diff != "" {
			t.Errorf("%s: the executors tolerate:\n%s", name, diff)
		}
		if len(driver.Tolerations) != 2 {
			t.Errorf("%s: the driver tolerates %+v, expected a lost node for 30 s alone", name, driver.Tolerations)
		}
	}
}

// A driver that may run anywhere, or on spot, goes where the admin's map says.
func TestCapacity(t *testing.T) {
	for capacity, want := range map[v1alpha1.Capacity]map[string]string{
		v1alpha1.CapacityAny: nil, v1alpha1.CapacitySpot: {"pool": "cheap"}, v1alpha1.CapacityOnDemand: {"pool": "safe"},
	} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.Driver.Scheduling.Capacity = capacity
		in.Defaults.Placement = desired.Placement{
			v1alpha1.CapacitySpot:     {NodeSelector: map[string]string{"pool": "cheap"}, Tolerations: []corev1.Toleration{{Key: "cheap", Operator: corev1.TolerationOpExists}}},
			v1alpha1.CapacityOnDemand: {NodeSelector: map[string]string{"pool": "safe"}},
		}
		r, err := desired.Application(scheme(t), in)
		if err != nil {
			t.Fatal(err)
		}
		spec := pod(t, r, "driver").Spec
		if diff := difference(want, spec.NodeSelector); diff != "" {
			t.Errorf("%s:\n%s", capacity, diff)
		}
		if tolerates := len(spec.Tolerations) == 3 && spec.Tolerations[2].Key == "cheap"; tolerates != (capacity == v1alpha1.CapacitySpot) {
			t.Errorf("%s: tolerations %+v", capacity, spec.Tolerations)
		}
	}
}

func TestSpread(t *testing.T) {
	for spread, want := range map[v1alpha1.Spread]corev1.UnsatisfiableConstraintAction{
		v1alpha1.SpreadPreferred: corev1.ScheduleAnyway, v1alpha1.SpreadRequired: corev1.DoNotSchedule, v1alpha1.SpreadNone: "",
	} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.Executor.Scheduling.Spread = spread
		r, err := desired.Application(scheme(t), in)
		if err != nil {
			t.Fatal(err)
		}
		got := pod(t, r, "executor").Spec.TopologySpreadConstraints
		if want == "" {
			if got != nil {
				t.Errorf("%s: %+v", spread, got)
			}
			continue
		}
		if len(got) != 2 || got[0].TopologyKey != "kubernetes.io/hostname" || got[1].TopologyKey != "topology.kubernetes.io/zone" ||
			got[0].WhenUnsatisfiable != want || got[1].WhenUnsatisfiable != want || got[0].MaxSkew != 1 {
			t.Errorf("%s: %+v", spread, got)
		}
	}
}

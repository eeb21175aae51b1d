// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Presets say how to reach on-demand and spot nodes where they are marked by the
// cloud or by Karpenter. They are data of those: see the documentation of managed
// node groups (EKS), Spot VMs (GKE), spot node pools (AKS) and NodePools.
func Presets() map[string]Placement {
	by := func(label, onDemand, spot string, tolerations ...corev1.Toleration) Placement {
		p := Placement{v1alpha1.CapacitySpot: {NodeSelector: map[string]string{label: spot}, Tolerations: tolerations}}
		if onDemand != "" {
			p[v1alpha1.CapacityOnDemand] = NodeClass{NodeSelector: map[string]string{label: onDemand}}
		}
		return p
	}
	noSchedule := func(key, value string) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpEqual, Value: value, Effect: corev1.TaintEffectNoSchedule}
	}
	return map[string]Placement{
		"none":      {},
		"eks":       by("eks.amazonaws.com/capacityType", "ON_DEMAND", "SPOT"),
		"gke":       by("cloud.google.com/gke-spot", "", "true", noSchedule("cloud.google.com/gke-spot", "true")),
		"aks":       by("kubernetes.azure.com/scalesetpriority", "", "spot", noSchedule("kubernetes.azure.com/scalesetpriority", "spot")),
		"karpenter": by("karpenter.sh/capacity-type", "on-demand", "spot"),
	}
}

// quickEviction moves a driver off a lost node after 30 s instead of 300.
func quickEviction() []corev1.Toleration {
	var out []corev1.Toleration
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		out = append(out, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists,
			Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(30))})
	}
	return out
}

// spread keeps pods with the given labels apart over nodes and zones.
func spread(how v1alpha1.Spread, selector map[string]string) []corev1.TopologySpreadConstraint {
	unsatisfiable := corev1.ScheduleAnyway
	switch how {
	case v1alpha1.SpreadNone:
		return nil
	case v1alpha1.SpreadRequired:
		unsatisfiable = corev1.DoNotSchedule
	}
	var out []corev1.TopologySpreadConstraint
	for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone} {
		out = append(out, corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: unsatisfiable,
			LabelSelector: selects(selector)})
	}
	return out
}

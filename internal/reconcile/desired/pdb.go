// SPDX-License-Identifier: Apache-2.0

package desired

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete

// pdb are the disruption budgets of driver and executors. The pods have no
// controller with a scale that evictions could ask, so the numbers are integers.
// No budget is made that could never allow an eviction.
func pdb(in Input) ([]Object, error) {
	p := in.Pipeline
	var out []Object
	budget := func(role string, least int32) {
		if least > 0 {
			out = append(out, &policyv1.PodDisruptionBudget{ObjectMeta: named(in, role), Spec: policyv1.PodDisruptionBudgetSpec{
				MinAvailable: new(intstr.FromInt32(least)), Selector: selects(sparkSelector(p, role))}})
		}
	}
	driver := int32(1)
	if least := p.Spec.Disruption.DriverMinAvailable; least != nil {
		driver = *least
	}
	budget("driver", driver)
	budget("executor", p.EffectiveExecutorMinAvailable())
	return out, nil
}

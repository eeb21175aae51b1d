// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// Bounds that the API server puts on the behavior of a HorizontalPodAutoscaler.
const (
	mostStabilization = 3600 // seconds
	longestPeriod     = 1800 // seconds
)

// checkBehavior judges a behavior as the API server judges it in a
// HorizontalPodAutoscaler, which is made only once a driver runs: too late to tell
// somebody who has just applied it.
func checkBehavior(b *autoscalingv2.HorizontalPodAutoscalerBehavior) error {
	if b == nil {
		return nil
	}
	if err := checkScaling("spec.scaling.behavior.scaleUp", b.ScaleUp); err != nil {
		return err
	}
	return checkScaling("spec.scaling.behavior.scaleDown", b.ScaleDown)
}

func checkScaling(field string, r *autoscalingv2.HPAScalingRules) error {
	if r == nil {
		return nil
	}
	if w := r.StabilizationWindowSeconds; w != nil && (*w < 0 || *w > mostStabilization) {
		return &InvalidError{Field: field + ".stabilizationWindowSeconds", Found: fmt.Sprint(*w), Allowed: fmt.Sprintf("0 to %d", mostStabilization)}
	}
	if s := r.SelectPolicy; s != nil && *s != autoscalingv2.MaxChangePolicySelect && *s != autoscalingv2.MinChangePolicySelect && *s != autoscalingv2.DisabledPolicySelect {
		return &InvalidError{Field: field + ".selectPolicy", Found: strconv.Quote(string(*s)), Allowed: "Max, Min or Disabled"}
	}
	if r.Tolerance != nil && r.Tolerance.Sign() < 0 {
		return &InvalidError{Field: field + ".tolerance", Found: r.Tolerance.String(), Allowed: "0 or more"}
	}
	for i, p := range r.Policies {
		at := fmt.Sprintf("%s.policies[%d]", field, i)
		if p.Type != autoscalingv2.PodsScalingPolicy && p.Type != autoscalingv2.PercentScalingPolicy {
			return &InvalidError{Field: at + ".type", Found: strconv.Quote(string(p.Type)), Allowed: "Pods or Percent"}
		}
		if p.Value <= 0 {
			return &InvalidError{Field: at + ".value", Found: fmt.Sprint(p.Value), Allowed: "1 or more"}
		}
		if p.PeriodSeconds <= 0 || p.PeriodSeconds > longestPeriod {
			return &InvalidError{Field: at + ".periodSeconds", Found: fmt.Sprint(p.PeriodSeconds), Allowed: fmt.Sprintf("1 to %d", longestPeriod)}
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "time"

// Duration is a positive span of time in Go's notation, such as 30s, 5m or
// 168h. It is kept as it was written, so that nothing rewrites a manifest.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
// +kubebuilder:validation:XValidation:rule=`duration(self) > duration('0s')`,messageExpression=`'found ' + self + '; a duration longer than 0s is allowed, such as 30s, 5m or 168h'`
type Duration string

// Duration returns the span, or 0 for a value that the schema would refuse.
func (d Duration) Duration() time.Duration {
	span, err := time.ParseDuration(string(d))
	if err != nil {
		return 0
	}
	return span
}

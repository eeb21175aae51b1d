// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Deployment that somebody scales to nothing does not become ready by that: each
// such change would be a write of the status, and another when it is repaired.
func TestDeploymentScaledToNothingIsNotReady(t *testing.T) {
	for _, test := range []struct {
		replicas  any
		available int64
		waits     bool
	}{{int64(1), 0, true}, {int64(0), 0, true}, {nil, 0, true}, {int64(1), 1, false}, {int64(0), 1, false}, {int64(2), 1, true}} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment",
			"spec": map[string]any{}, "status": map[string]any{"availableReplicas": test.available}}}
		if test.replicas != nil {
			o.Object["spec"].(map[string]any)["replicas"] = test.replicas
		}
		if got := Waiting(o) != ""; got != test.waits {
			t.Errorf("%v replicas, %d available: waits is %t", test.replicas, test.available, got)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// readiness says, for the kinds that can be applied and yet not do their work,
// what is waited for: an empty string is ready. Kinds without a row are ready
// once they are applied.
var readiness = map[schema.GroupKind]func(*unstructured.Unstructured) string{
	{Kind: "Namespace"}:                             namespaceActive,
	{Kind: "PersistentVolumeClaim"}:                 claimBound,
	{Group: "apps", Kind: "Deployment"}:             deploymentAvailable,
	{Group: "cert-manager.io", Kind: "Certificate"}: conditionReady,
	{Group: "cert-manager.io", Kind: "Issuer"}:      conditionReady,
}

// HasReadiness says that a kind can be applied and not be ready.
func HasReadiness(kind schema.GroupKind) bool { return readiness[kind] != nil }

// Waiting says what the live object is waited for; empty when it is ready.
func Waiting(live *unstructured.Unstructured) string {
	rule := readiness[live.GroupVersionKind().GroupKind()]
	if rule == nil {
		return ""
	}
	return rule(live)
}

func namespaceActive(o *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	if phase == "Active" || phase == "" {
		return ""
	}
	return "phase is " + phase
}

// claimBound takes Pending for ready: with a storage class that waits for the
// first consumer a claim binds only when the driver mounts it, and holding the
// driver back until then would wait for ever.
func claimBound(o *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	if phase == "Lost" {
		return "the volume of the claim is lost"
	}
	return ""
}

// deploymentAvailable wants one replica at least: none of our Deployments has fewer,
// so one that somebody scaled to nothing is as good or bad as it was until it is
// repaired.
func deploymentAvailable(o *unstructured.Unstructured) string {
	available, _, _ := unstructured.NestedInt64(o.Object, "status", "availableReplicas")
	wanted, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	wanted = max(wanted, 1)
	if available >= wanted {
		return ""
	}
	return fmt.Sprintf("%d of %d replicas are available", available, wanted)
}

func conditionReady(o *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		c, ok := c.(map[string]any)
		if ok && c["type"] == "Ready" {
			if c["status"] == "True" {
				return ""
			}
			message, _ := c["message"].(string)
			return "is not ready: " + message
		}
	}
	return "is not ready yet"
}

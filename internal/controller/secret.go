// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto/rand"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create

// fillSecret puts random values under the keys that Spark's processes and their
// key stores need. They exist here and in the Secret, and are never read again.
func fillSecret(o *unstructured.Unstructured) error {
	data := map[string]any{}
	for _, k := range desired.SecretKeys() {
		data[k] = rand.Text() + rand.Text()
	}
	if err := unstructured.SetNestedMap(o.Object, data, "stringData"); err != nil {
		return fmt.Errorf("fill the Secret: %w", err)
	}
	return nil
}

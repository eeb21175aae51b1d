// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch;create;patch;delete

// namespace is the namespace dedicated to the pipeline, guarded by pod security.
// A shared namespace is somebody else's: its labels are left alone.
func namespace(in Input) ([]Object, error) {
	p := in.Pipeline
	if p.Spec.Namespace == "" {
		return nil, nil
	}
	return []Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: p.Spec.Namespace,
		Labels: map[string]string{
			"pod-security.kubernetes.io/enforce":         "restricted",
			"pod-security.kubernetes.io/enforce-version": "latest",
			"pod-security.kubernetes.io/warn":            "restricted",
			"pod-security.kubernetes.io/audit":           "restricted",
		},
	}}}, nil
}

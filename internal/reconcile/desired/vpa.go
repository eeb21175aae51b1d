// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// vpaKind is written untyped: its module brings all of the autoscaler.
var vpaKind = schema.GroupVersionKind{Group: "autoscaling.k8s.io", Version: "v1", Kind: "VerticalPodAutoscaler"}

// +kubebuilder:rbac:groups=autoscaling.k8s.io,resources=verticalpodautoscalers,verbs=get;list;watch;create;patch;delete

// vpa recommends memory and CPU of driver and executors, by the selector of the
// pipeline's own /scale, and changes nothing. It stands where the SparkPipeline
// stands, because a target is looked for in the same namespace; so in a dedicated
// namespace, where the pods are elsewhere, there is none.
func vpa(in Input) ([]Object, error) {
	p := in.Pipeline
	if p.Spec.Namespace != "" && p.Spec.Namespace != p.Namespace {
		return nil, nil
	}
	return []Object{object(vpaKind, in, "", map[string]any{
		"targetRef":    map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "SparkPipeline", "name": p.Name},
		"updatePolicy": map[string]any{"updateMode": "Off"},
	})}, nil
}

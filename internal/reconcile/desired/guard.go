// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"sparkpipeline.dev/operator/internal/agent/config"
)

// guard is the ConfigMap with the orders of the guard. Pods mount it as it is when
// they are made, so every submission is judged by the orders of that moment.
func guard(in Input) ([]Object, error) {
	if !in.Defaults.Guard {
		return nil, nil
	}
	p := in.Pipeline
	orders := config.Orders{
		Pipeline: config.Identity{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)},
		Roots:    in.Facts.Roots, Reset: in.Facts.Reset,
		PodSelector: labels.Set{LabelPipeline: p.Name}.String(),
	}
	if CheckpointClaim(in) != "" {
		orders.MountPath = p.Spec.Checkpoint.MountPath
	}
	text, err := json.MarshalIndent(orders, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the orders of the guard: %w", err)
	}
	return []Object{&corev1.ConfigMap{ObjectMeta: named(in, "guard"), Data: map[string]string{"orders.json": string(text)}}}, nil
}

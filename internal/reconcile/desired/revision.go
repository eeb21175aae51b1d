// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete

// revision keeps the last rendering of the application that was healthy, for a
// rollback to it. Its data cannot change, so each rendering has its own name, and
// the one before is pruned. While another rendering is wanted than the healthy
// one, its payload is not at hand: see KeptRevision.
func revision(in Input) ([]Object, error) {
	h := in.Facts.Healthy
	if h == nil {
		return nil, nil
	}
	// The size is no part of a rendering, and the data of a revision cannot change.
	content := h.Object.DeepCopy()
	unstructured.RemoveNestedField(content.Object, "spec", "executor", "instances")
	unstructured.RemoveNestedField(content.Object, "spec", "suspend")
	spec, err := json.Marshal(map[string]any{"spec": content.Object["spec"]})
	if err != nil {
		return nil, fmt.Errorf("write the healthy rendering: %w", err)
	}
	return []Object{&appsv1.ControllerRevision{ObjectMeta: named(in, revisionRole(h.Digest)), Revision: 1,
		Data: runtime.RawExtension{Raw: spec}}}, nil
}

func revisionRole(digest string) string { return "r-" + digest[:min(8, len(digest))] }

// KeptRevision is the ControllerRevision of the rendering that was healthy last,
// as far as pruning needs to know it; nil when there was none.
func KeptRevision(p *v1alpha1.SparkPipeline) *unstructured.Unstructured {
	if p.Status.Application == nil || p.Status.Application.LastHealthyRendering == "" {
		return nil
	}
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
	meta := named(Input{Pipeline: p}, revisionRole(p.Status.Application.LastHealthyRendering))
	o.SetNamespace(meta.Namespace)
	o.SetName(meta.Name)
	return o
}

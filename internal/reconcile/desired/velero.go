// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// veleroKind is written untyped: Velero's module brings all of Velero.
var veleroKind = schema.GroupVersionKind{Group: "velero.io", Version: "v1", Kind: "Schedule"}

// +kubebuilder:rbac:groups=velero.io,resources=schedules,verbs=get;list;watch;create;patch;delete

// velero is a Schedule of Velero. It stands in Velero's namespace, where pipelines
// of all namespaces meet, so its name carries a hash. In a dedicated namespace all
// of it is backed up; in a shared one what carries the pipeline's labels.
func velero(in Input) ([]Object, error) {
	p := in.Pipeline
	if p.Spec.Backup.Velero.State == v1alpha1.StateDisabled || in.Defaults.VeleroNamespace == "" {
		return nil, nil
	}
	template := map[string]any{
		"includedNamespaces": []any{p.WorkloadNamespace()},
		"ttl":                string(p.Spec.Backup.Velero.TTL),
		// Volumes that cannot be snapshotted, as those of many shared file
		// systems, are copied file by file.
		"defaultVolumesToFsBackup": true,
		"storageLocation":          "default",
	}
	if p.Spec.Namespace == "" {
		template["labelSelector"] = map[string]any{"matchLabels": map[string]any{
			LabelPipeline: p.Name, LabelPipelineNamespace: p.Namespace}}
	}
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"schedule": string(p.Spec.Backup.Velero.Schedule), "template": template}}}
	o.SetGroupVersionKind(veleroKind)
	o.SetNamespace(in.Defaults.VeleroNamespace)
	o.SetName("sp-" + p.Name + "-" + identityHash(p))
	return []Object{o}, nil
}

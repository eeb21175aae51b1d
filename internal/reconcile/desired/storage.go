// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete

// CheckpointClaim is the name of the claim that holds the state; empty when the
// state lives in a bucket.
func CheckpointClaim(in Input) string {
	switch {
	case in.Pipeline.Spec.Checkpoint.Location != "":
		return ""
	case in.Facts.Checkpoint != "":
		return in.Facts.Checkpoint
	}
	return in.Pipeline.Name + "-checkpoint"
}

func eventLogClaim(p *v1alpha1.SparkPipeline) string { return p.Name + "-eventlog" }

// storage are the claims. They outlive everything else.
func storage(in Input) ([]Object, error) {
	p := in.Pipeline
	log := p.Spec.EventLog.Volume
	out := []Object{claim(in, eventLogClaim(p), log.StorageClassName, corev1.ReadWriteMany, log.Size)}
	if v := p.CheckpointVolume(); v != nil {
		mode := corev1.PersistentVolumeAccessMode(v.AccessMode)
		out = append(out, claim(in, CheckpointClaim(in), v.StorageClassName, mode, v.Size))
	}
	return out, nil
}

func claim(in Input, name, class string, mode corev1.PersistentVolumeAccessMode, size *resource.Quantity) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: named(in, "")}
	c.Name = name
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{mode}
	c.Spec.StorageClassName = unlessEmpty(class)
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *size}
	return c
}

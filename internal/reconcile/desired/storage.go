// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// SnapshotKind is the kind of snapshots of a claim. No builder makes one.
var SnapshotKind = schema.GroupVersionKind{Group: "snapshot.storage.k8s.io", Version: "v1", Kind: "VolumeSnapshot"}

// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshots,verbs=get;list;watch;delete
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
	c := &corev1.PersistentVolumeClaim{ObjectMeta: named(in, ""), Spec: claimSpec(class, mode, size)}
	c.Name = name
	return c
}

func claimSpec(class string, mode corev1.PersistentVolumeAccessMode, size *resource.Quantity) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{mode}, StorageClassName: unlessEmpty(class),
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *size}},
	}
}

// scratch is the volume of a drill: a claim like the checkpoint's that is made for
// the pod and goes with it, so that nothing is left over and the checkpoint's own is
// out of reach. For a checkpoint in a bucket it is of the event logs' class.
func scratch(in Input) corev1.Volume {
	p := in.Pipeline
	log := p.Spec.EventLog.Volume
	spec := claimSpec(log.StorageClassName, corev1.ReadWriteMany, log.Size)
	if v := p.CheckpointVolume(); v != nil {
		spec = claimSpec(v.StorageClassName, corev1.PersistentVolumeAccessMode(v.AccessMode), v.Size)
	}
	return corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
		VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
			ObjectMeta: metav1.ObjectMeta{Labels: componentLabels(p, componentAgent)}, Spec: spec,
		}}}}
}

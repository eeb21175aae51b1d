// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Names under which Spark puts the claims into its pods, see confVolumes.
const (
	volumeCheckpoint = "checkpoint"
	volumeEventLog   = "eventlog"
)

// operatorPaths hold what the operator and its agent bring into a pod.
var operatorPaths = []string{"/etc/sparkpipeline", "/opt/sparkpipeline"}

// ownVolumes refuses volumes of a user's template that would come in the way of
// the operator's: one that hides a part of the checkpoint lets the stream write
// its state to where it is lost, one that writes to the claim is a second writer.
func ownVolumes(in Input, field string, t, ours *corev1.PodTemplateSpec) error {
	for i, v := range t.Spec.Volumes {
		at := fmt.Sprintf("%s.spec.volumes[%d]", field, i)
		if v.Name == volumeCheckpoint || v.Name == volumeEventLog || slices.ContainsFunc(ours.Spec.Volumes, func(o corev1.Volume) bool { return o.Name == v.Name }) {
			return &InvalidError{Field: at + ".name", Found: fmt.Sprintf("%q", v.Name), Allowed: "a name that is not one of the operator's volumes"}
		}
		if c := v.PersistentVolumeClaim; c != nil && !c.ReadOnly && strings.HasPrefix(c.ClaimName, in.Pipeline.Name+"-"+volumeCheckpoint) {
			return &InvalidError{Field: at + ".persistentVolumeClaim", Found: fmt.Sprintf("%q", c.ClaimName),
				Allowed: "the claim of a checkpoint with readOnly: true, because only Spark may write to it"}
		}
	}
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"initContainers", t.Spec.InitContainers}, {"containers", t.Spec.Containers}} {
		for i, c := range list.containers {
			for j, m := range c.VolumeMounts {
				at := fmt.Sprintf("%s.spec.%s[%d].volumeMounts[%d]", field, list.name, i, j)
				if err := ownMount(in, at, m, c.Name == ours.Spec.Containers[0].Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// ownMount refuses a mount over, in or under a directory that the operator or
// Spark mounts, and one that could write to the checkpoint. A sidecar may read it.
func ownMount(in Input, field string, m corev1.VolumeMount, spark bool) error {
	taken := append([]string{eventLogPath}, operatorPaths...)
	if CheckpointClaim(in) != "" {
		taken = append(taken, in.Pipeline.Spec.Checkpoint.MountPath)
	}
	if m.Name == volumeCheckpoint || m.Name == volumeEventLog {
		if m.ReadOnly && !spark {
			return nil
		}
		return &InvalidError{Field: field + ".name", Found: fmt.Sprintf("%q", m.Name), Allowed: "this volume with readOnly: true in a sidecar, because only Spark may write to it"}
	}
	for _, dir := range taken {
		if within(m.MountPath, dir) || within(dir, m.MountPath) {
			return &InvalidError{Field: field + ".mountPath", Found: fmt.Sprintf("%q", m.MountPath),
				Allowed: fmt.Sprintf("a directory that does not overlap %q, where the operator mounts its own", dir)}
		}
	}
	return nil
}

// within says whether sub is the directory or lies in it.
func within(sub, directory string) bool {
	clean := func(s string) string { return strings.TrimRight(path.Clean("/"+s), "/") + "/" }
	return strings.HasPrefix(clean(sub), clean(directory))
}

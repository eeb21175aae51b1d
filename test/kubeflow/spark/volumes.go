// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// addVolumes adds the volumes of settings <type>.<name>.<property>, which are
// relative to spark.kubernetes.<role>.volumes.
func addVolumes(spec *corev1.PodSpec, c *corev1.Container, settings map[string]string) error {
	found := map[[2]string]map[string]string{}
	for key, value := range settings {
		parts := strings.SplitN(key, ".", 3)
		if len(parts) != 3 {
			return settingError("volumes."+key, value, "volumes.<type>.<name>.<property>")
		}
		id := [2]string{parts[0], parts[1]}
		if found[id] == nil {
			found[id] = map[string]string{}
		}
		found[id][parts[2]] = value
	}
	ids := slices.SortedFunc(maps.Keys(found), func(a, b [2]string) int { return strings.Compare(a[1], b[1]) })
	for _, id := range ids {
		properties := found[id]
		source, err := volumeSource(id[0], properties)
		if err != nil {
			return err
		}
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: id[1], VolumeSource: source})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{
			Name: id[1], MountPath: properties["mount.path"], SubPath: properties["mount.subPath"],
			ReadOnly: properties["mount.readOnly"] == "true",
		})
	}
	return nil
}

func volumeSource(kind string, p map[string]string) (corev1.VolumeSource, error) {
	switch kind {
	case "persistentVolumeClaim":
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: p["options.claimName"], ReadOnly: p["mount.readOnly"] == "true"}}, nil
	case "emptyDir":
		source := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMedium(p["options.medium"])}
		if text := p["options.sizeLimit"]; text != "" {
			limit, err := resource.ParseQuantity(text)
			if err != nil {
				return corev1.VolumeSource{}, settingError("volumes.emptyDir…options.sizeLimit", text, "a quantity of Kubernetes")
			}
			source.SizeLimit = &limit
		}
		return corev1.VolumeSource{EmptyDir: source}, nil
	case "hostPath":
		return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: p["options.path"]}}, nil
	case "nfs":
		return corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: p["options.server"], Path: p["options.path"]}}, nil
	}
	return corev1.VolumeSource{}, settingError("volumes."+kind, kind, "persistentVolumeClaim, emptyDir, hostPath or nfs")
}

// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VolumePath is where a volume that OfferStorage made lies on this machine.
func (w *World) VolumePath(name string) string { return filepath.Join(w.Dir, "volumes", name) }

// OfferStorage makes two storage classes and a few volumes in each, as an admin of
// a real cluster would offer them. With owner the volumes are real directories of
// that user; 0 makes none, for simulated nodes write nothing.
func (w *World) OfferStorage(ctx context.Context, owner int) error {
	if _, err := w.Kubectl(ctx, "apply", "-f", "test/e2e/world/storage.yaml"); err != nil {
		return err
	}
	for _, class := range []string{"standard", "spark-checkpoint-ssd"} {
		for i := range 8 {
			name := fmt.Sprintf("%s-%d", class, i)
			if err := w.makeVolume(name, owner); err != nil {
				return err
			}
			volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
				Capacity:         corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("200Gi")},
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
				StorageClassName: class, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: w.VolumePath(name)}},
			}}
			if err := w.Client.Create(ctx, volume); err != nil {
				return fmt.Errorf("offer volume %s: %w", name, err)
			}
		}
	}
	return nil
}

func (w *World) makeVolume(name string, owner int) error {
	if owner == 0 {
		return nil
	}
	if err := os.MkdirAll(w.VolumePath(name), 0o770); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	if err := os.Chown(w.VolumePath(name), owner, owner); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

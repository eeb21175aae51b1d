// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OfferStorage makes two storage classes and a few volumes in each, as an admin of
// a real cluster would offer them. Nothing is ever written to them here.
func (w *World) OfferStorage(ctx context.Context) error {
	if _, err := w.Kubectl(ctx, "apply", "-f", "test/e2e/world/storage.yaml"); err != nil {
		return err
	}
	for _, class := range []string{"standard", "spark-checkpoint-ssd"} {
		for i := range 8 {
			name := fmt.Sprintf("%s-%d", class, i)
			volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
				Capacity:         corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("200Gi")},
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
				StorageClassName: class, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/volumes/" + name}},
			}}
			if err := w.Client.Create(ctx, volume); err != nil {
				return fmt.Errorf("offer volume %s: %w", name, err)
			}
		}
	}
	return nil
}

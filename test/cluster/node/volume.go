package node

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Volume is a persistent volume that is a folder of the node, which many pods
// may write.
type Volume struct {
	Name string
	// StorageClass has no provisioner; it is created when it does not exist.
	StorageClass string
	// Size is what the volume claims to hold; nothing limits it.
	Size resource.Quantity
	// Owner is the uid and gid of the folder.
	Owner int
}

// CreateVolume creates a volume and returns its folder, below the cluster's
// directory. The folder outlives claim and volume.
func (n *Node) CreateVolume(ctx context.Context, v Volume) (string, error) {
	folder := n.path("volumes", v.Name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("create folder of volume %s: %w", v.Name, err)
	}
	if err := os.Chown(folder, v.Owner, v.Owner); err != nil {
		return "", fmt.Errorf("give folder of volume %s to its owner: %w", v.Name, err)
	}
	client, err := kubernetes.NewForConfig(n.Config)
	if err != nil {
		return "", fmt.Errorf("create client: %w", err)
	}
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: v.StorageClass}, Provisioner: "kubernetes.io/no-provisioner"}
	_, err = client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("create storage class %s: %w", v.StorageClass, err)
	}
	if _, err := client.CoreV1().PersistentVolumes().Create(ctx, v.object(folder), metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("create volume %s: %w", v.Name, err)
	}
	return folder, nil
}

func (v Volume) object(folder string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: v.Name},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName:              v.StorageClass,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: v.Size},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadWriteMany},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}},
		},
	}
}

// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"fmt"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldManager is the name under which the agent applies snapshots: the operator's
// own, so that the operator knows them for children of the pipeline when somebody
// asks for their deletion.
const FieldManager = "sparkpipeline"

// versionOfNothing is a resource version that no object has: an apply with it makes
// what is absent and is a conflict where something is.
const versionOfNothing = "1"

// Cluster is an API server.
type Cluster struct {
	Client    client.Client
	Namespace string
}

var kind = volumesnapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshot")

// Connect makes the client. The two kinds are known, so nothing is asked of the API
// server's discovery.
func Connect(config *rest.Config, namespace string) (*Cluster, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := volumesnapshotv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{kind.GroupVersion(), corev1.SchemeGroupVersion})
	mapper.Add(kind, meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), meta.RESTScopeNamespace)
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	return &Cluster{Client: c, Namespace: namespace}, nil
}

// Claim implements API.
func (c *Cluster) Claim(ctx context.Context, name string) (*corev1.PersistentVolumeClaim, error) {
	out := &corev1.PersistentVolumeClaim{}
	return out, c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, out)
}

// List implements API.
func (c *Cluster) List(ctx context.Context, labels map[string]string) ([]volumesnapshotv1.VolumeSnapshot, error) {
	out := &volumesnapshotv1.VolumeSnapshotList{}
	err := c.Client.List(ctx, out, client.InNamespace(c.Namespace), client.MatchingLabels(labels))
	return out.Items, err
}

// Get implements API.
func (c *Cluster) Get(ctx context.Context, name string) (*volumesnapshotv1.VolumeSnapshot, error) {
	out := &volumesnapshotv1.VolumeSnapshot{}
	return out, c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, out)
}

// Make implements API.
func (c *Cluster) Make(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot) (*volumesnapshotv1.VolumeSnapshot, error) {
	return c.apply(ctx, s, func(m *unstructured.Unstructured) { m.SetResourceVersion(versionOfNothing) })
}

// Update implements API.
func (c *Cluster) Update(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot) (*volumesnapshotv1.VolumeSnapshot, error) {
	return c.apply(ctx, s, func(m *unstructured.Unstructured) { m.SetUID(s.UID) })
}

// apply sends what the agent says of a snapshot, all of it: what is left out of an
// apply is taken back.
func (c *Cluster) apply(ctx context.Context, s *volumesnapshotv1.VolumeSnapshot, pin func(*unstructured.Unstructured)) (*volumesnapshotv1.VolumeSnapshot, error) {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s.Spec)
	if err != nil {
		return nil, fmt.Errorf("convert snapshot %s: %w", s.Name, err)
	}
	payload := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	payload.SetGroupVersionKind(kind)
	payload.SetNamespace(c.Namespace)
	payload.SetName(s.Name)
	payload.SetLabels(s.Labels)
	payload.SetAnnotations(s.Annotations)
	pin(payload)
	if err := c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(payload), client.FieldOwner(FieldManager), client.ForceOwnership); err != nil {
		return nil, err
	}
	out := &volumesnapshotv1.VolumeSnapshot{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(payload.Object, out); err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", s.Name, err)
	}
	return out, nil
}

// Delete implements API.
func (c *Cluster) Delete(ctx context.Context, name string, uid types.UID) error {
	s := &volumesnapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name}}
	return c.Client.Delete(ctx, s, client.Preconditions{UID: &uid})
}

var _ API = (*Cluster)(nil)

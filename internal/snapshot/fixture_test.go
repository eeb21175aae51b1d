// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var (
	resource = schema.GroupResource{Group: volumesnapshotv1.GroupName, Resource: "volumesnapshots"}
	labels   = map[string]string{"sparkpipeline.dev/pipeline": "orders", "sparkpipeline.dev/pipeline-namespace": "data"}
	noon     = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
)

// memory is an API server, and whoever acts on snapshots.
type memory struct {
	now   time.Time
	claim *corev1.PersistentVolumeClaim
	there map[string]*volumesnapshotv1.VolumeSnapshot
	uids  int
	// act is the snapshot controller's turn, before each look at a snapshot; looks
	// counts those at it.
	act   func(s *volumesnapshotv1.VolumeSnapshot, looks int)
	looks map[string]int
	// fault answers in the place of the API server; it is told the call and whether
	// it is done already.
	fault func(call string, done bool) error
	// calls in their order, with what the taker was told to do beside the API.
	calls []string
}

func newMemory() *memory {
	class := "fast"
	return &memory{now: noon, there: map[string]*volumesnapshotv1.VolumeSnapshot{}, looks: map[string]int{}, act: soon,
		claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "orders-checkpoint", UID: "claim-1", Annotations: map[string]string{"volume.kubernetes.io/storage-provisioner": "disk.csi.example.com"}},
			Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: &class},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		}}
}

// soon is a driver that cuts at the second look and is ready at the fourth.
func soon(s *volumesnapshotv1.VolumeSnapshot, looks int) {
	if looks >= 2 {
		cut(s)
	}
	if looks >= 4 {
		s.Status.ReadyToUse = new(true)
	}
}

// never is nobody who acts.
func never(*volumesnapshotv1.VolumeSnapshot, int) {}

func cut(s *volumesnapshotv1.VolumeSnapshot) {
	if s.Status == nil {
		s.Status = &volumesnapshotv1.VolumeSnapshotStatus{}
	}
	s.Status.BoundVolumeSnapshotContentName = new("snapcontent-1")
	if s.Status.CreationTime == nil {
		s.Status.CreationTime = &metav1.Time{Time: noon}
	}
}

// failing has a driver report an error.
func failing(message string) func(*volumesnapshotv1.VolumeSnapshot, int) {
	return func(s *volumesnapshotv1.VolumeSnapshot, _ int) {
		s.Status = &volumesnapshotv1.VolumeSnapshotStatus{Error: &volumesnapshotv1.VolumeSnapshotError{Message: &message}}
	}
}

// call notes a call, does it unless the fault comes before, and answers.
func (m *memory) call(name string, do func() error) error {
	m.calls = append(m.calls, name)
	if m.fault != nil {
		if err := m.fault(name, false); err != nil {
			return err
		}
	}
	err := do()
	if err == nil && m.fault != nil {
		err = m.fault(name, true)
	}
	return err
}

func (m *memory) Claim(context.Context, string) (out *corev1.PersistentVolumeClaim, err error) {
	return m.claim, m.call("claim", func() error {
		if m.claim == nil {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "persistentvolumeclaims"}, "orders-checkpoint")
		}
		return nil
	})
}

func (m *memory) List(_ context.Context, want map[string]string) (out []volumesnapshotv1.VolumeSnapshot, err error) {
	err = m.call("list", func() error {
		for _, name := range slices.Sorted(maps.Keys(m.there)) {
			out = append(out, *m.there[name].DeepCopy())
		}
		return nil
	})
	return out, err
}

func (m *memory) Get(_ context.Context, name string) (out *volumesnapshotv1.VolumeSnapshot, err error) {
	err = m.call("get", func() error {
		s := m.there[name]
		if s == nil {
			return apierrors.NewNotFound(resource, name)
		}
		m.looks[name]++
		m.act(s, m.looks[name])
		out = s.DeepCopy()
		return nil
	})
	return out, err
}

func (m *memory) Make(_ context.Context, s *volumesnapshotv1.VolumeSnapshot) (out *volumesnapshotv1.VolumeSnapshot, err error) {
	err = m.call("make", func() error {
		if m.there[s.Name] != nil {
			return apierrors.NewConflict(resource, s.Name, errors.New("it is there"))
		}
		out = m.put(s, m.now)
		return nil
	})
	return out, err
}

// put stores what the agent applied.
func (m *memory) put(s *volumesnapshotv1.VolumeSnapshot, at time.Time) *volumesnapshotv1.VolumeSnapshot {
	kept := s.DeepCopy()
	m.uids++
	kept.UID, kept.CreationTimestamp = types.UID(fmt.Sprint("uid-", m.uids)), metav1.NewTime(at)
	kept.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: FieldManager, Operation: metav1.ManagedFieldsOperationApply}}
	m.there[s.Name] = kept
	return kept.DeepCopy()
}

func (m *memory) Update(_ context.Context, s *volumesnapshotv1.VolumeSnapshot) (out *volumesnapshotv1.VolumeSnapshot, err error) {
	err = m.call("note", func() error {
		kept := m.there[s.Name]
		if kept == nil || kept.UID != s.UID {
			return apierrors.NewConflict(resource, s.Name, errors.New("uid mismatch"))
		}
		kept.Labels, kept.Annotations = maps.Clone(s.Labels), maps.Clone(s.Annotations)
		out = kept.DeepCopy()
		return nil
	})
	return out, err
}

func (m *memory) Delete(_ context.Context, name string, uid types.UID) error {
	return m.call("delete "+name, func() error {
		s := m.there[name]
		if s == nil {
			return apierrors.NewNotFound(resource, name)
		}
		if s.UID != uid {
			return apierrors.NewConflict(resource, name, errors.New("uid mismatch"))
		}
		delete(m.there, name)
		return nil
	})
}

// names of what is there.
func (m *memory) names() []string { return slices.Sorted(maps.Keys(m.there)) }

// add puts a snapshot there that an earlier run made, and answers with it.
func (m *memory) add(t *testing.T, name string, age time.Duration, state string) *volumesnapshotv1.VolumeSnapshot {
	t.Helper()
	n := &Note{Format: noteFormat, JudgedAt: noon.Add(-age), HeldAt: noon.Add(-age), Level: 4, Roots: []Root{{Root: "agg", Batch: 3, Provider: "hdfs", QueryID: "q"}}}
	if state == "unverified" {
		n.Problem, n.HeldAt = "it is damaged", time.Time{}
	}
	text, err := n.encode()
	if err != nil {
		t.Fatal(err)
	}
	s := &volumesnapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: maps.Clone(labels), Annotations: map[string]string{AnnotationNote: text}}}
	m.put(s, noon.Add(-age))
	kept := m.there[name]
	cut(kept)
	kept.Status.ReadyToUse = new(state != "unready")
	switch state {
	case "going":
		kept.DeletionTimestamp = &metav1.Time{Time: noon}
	case "foreign": // A copy by somebody else.
		kept.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply}}
	case "other": // Of another pipeline.
		kept.Labels["sparkpipeline.dev/pipeline"] = "returns"
	}
	return kept
}

// taker takes snapshots of one sound root.
func (m *memory) taker() *Taker {
	return &Taker{
		API: m, Labels: labels, PipelineUID: "p-1", Prefix: "orders-", Claim: "orders-checkpoint", KeepFor: 168 * time.Hour, Within: 30 * time.Minute,
		Look: func(context.Context, []Root) (*Look, error) {
			m.calls = append(m.calls, "look")
			return &Look{Level: 4, Roots: []Root{{Root: "agg", Batch: 7, QueryID: "q", Provider: "hdfs", Files: 9, Bytes: 100, Healthy: true}},
				Held: func(context.Context) (string, error) {
					m.calls = append(m.calls, "held")
					return "", nil
				}}, nil
		},
		Flush: func() error {
			m.calls = append(m.calls, "flush")
			return nil
		},
		Now: func() time.Time { return m.now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			m.now = m.now.Add(d)
			return ctx.Err()
		},
		Report: func(Stage, time.Duration) {},
	}
}

// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/json"
	"fmt"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnnotationNote on a VolumeSnapshot holds a Note as JSON.
const AnnotationNote = "sparkpipeline.dev/snapshot"

// noteFormat grows when an older reader would misunderstand a Note.
const noteFormat = 1

// Note says what is in a snapshot.
type Note struct {
	Format int `json:"format"`
	// PipelineUID and ClaimUID tell things of the same name apart.
	PipelineUID string `json:"pipelineUID"`
	ClaimUID    string `json:"claimUID"`
	// JudgedAt is when the live roots were judged before the cut. It tells the runs
	// of the agent apart too.
	JudgedAt time.Time `json:"judgedAt"`
	// HeldAt is when the same files were found again after the cut; absent while
	// nobody has looked, or where they were not.
	HeldAt time.Time `json:"heldAt,omitzero"`
	// Level of verification, 1 to 6.
	Level int `json:"level"`
	// Roots of the queries, in the order of their names.
	Roots []Root `json:"roots"`
	// Problem is why the snapshot is not to be relied on; empty: it is.
	Problem string `json:"problem,omitempty"`
}

// Root is what a snapshot holds of one query.
type Root struct {
	// Root is the place below the claim's mount, with slashes.
	Root string `json:"root"`
	// Batch is the newest committed batch whose restorable set was complete; -1:
	// there is none.
	Batch    int64  `json:"batch"`
	QueryID  string `json:"queryID,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Files of that set, and their size in bytes.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Healthy is the result of the verification up to the note's level.
	Healthy bool `json:"healthy"`
}

// parseNote reads the note of a snapshot; nil: it has none that can be read.
func parseNote(s *volumesnapshotv1.VolumeSnapshot) *Note {
	text, ok := s.Annotations[AnnotationNote]
	if !ok {
		return nil
	}
	var n Note
	if err := json.Unmarshal([]byte(text), &n); err != nil || n.Format != noteFormat {
		return nil
	}
	return &n
}

func (n *Note) encode() (string, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("write the note of a snapshot: %w", err)
	}
	return string(text), nil
}

// Verified returns the note of a snapshot that a pipeline can be restored from: it
// is ready to use, stays, and every root in it was found whole before the cut and
// after it. Otherwise nil.
func Verified(s *volumesnapshotv1.VolumeSnapshot) *Note {
	n := parseNote(s)
	if n == nil || n.HeldAt.IsZero() || n.Problem != "" || len(n.Roots) == 0 || s.DeletionTimestamp != nil || !ready(s) {
		return nil
	}
	return n
}

func ready(s *volumesnapshotv1.VolumeSnapshot) bool {
	return s.Status != nil && s.Status.ReadyToUse != nil && *s.Status.ReadyToUse
}

// cutTaken says that the content of the snapshot is fixed; its upload may go on.
func cutTaken(s *volumesnapshotv1.VolumeSnapshot) bool {
	return ready(s) || s.Status != nil && !s.Status.CreationTime.IsZero()
}

// Ours says that the agent of the pipeline with these labels made the snapshot. The
// labels alone do not: a copy of its manifest has them too.
func Ours(s *volumesnapshotv1.VolumeSnapshot, labels map[string]string) bool {
	for k, v := range labels {
		if s.Labels[k] != v {
			return false
		}
	}
	for _, entry := range s.ManagedFields {
		if entry.Manager == FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			return true
		}
	}
	return false
}

// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// annotationEntry holds, on copies in the cache alone, the digest of the
// operator's own managedFields entry. It is never sent.
const annotationEntry = "cache.sparkpipeline.dev/entry"

// Digest is a digest of a payload: 16 hexadecimal digits, the same for the same
// content in whatever order it was written.
func Digest(o *unstructured.Unstructured) string {
	// Maps are encoded in the order of their keys, so this is canonical.
	text, err := json.Marshal(o.Object)
	if err != nil {
		return ""
	}
	return short(text)
}

func short(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// entryOf is the digest of the fields that the operator's own Apply entry lists;
// empty when there is no such entry.
func entryOf(entries []metav1.ManagedFieldsEntry) string {
	for _, entry := range entries {
		if entry.Manager != FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		// The same set of fields comes in another order from another decoder.
		var fields map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return ""
		}
		text, err := json.Marshal(fields)
		if err != nil {
			return ""
		}
		return short(text)
	}
	return ""
}

// Trim is a transform for caches: of metadata it keeps what the engine decides
// by, and the digest of the operator's entry in place of all managedFields. Of
// whole objects it strips managedFields.
func Trim(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		if accessor, err := meta.Accessor(o); err == nil {
			accessor.SetManagedFields(nil)
		}
		return o, nil
	}
	kept := &metav1.PartialObjectMetadata{TypeMeta: m.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		DeletionTimestamp: m.DeletionTimestamp, Labels: m.Labels,
	}}
	for k, v := range m.Annotations {
		if len(k) > len(ownAnnotations) && k[:len(ownAnnotations)] == ownAnnotations {
			kept.Annotations = with(kept.Annotations, k, v)
		}
	}
	entry := entryOf(m.ManagedFields)
	if len(m.ManagedFields) == 0 {
		// Trimmed before: informers may call a transform twice on one object.
		entry = m.Annotations[annotationEntry]
	}
	if entry != "" {
		kept.Annotations = with(kept.Annotations, annotationEntry, entry)
	}
	return kept, nil
}

// ownAnnotations begins the annotations that mean something to the operator.
const ownAnnotations = "sparkpipeline.dev/"

func with(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

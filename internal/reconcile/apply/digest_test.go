// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func metadata(entries ...metav1.ManagedFieldsEntry) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "orders", UID: "u", Annotations: map[string]string{"sparkpipeline.dev/x": "kept", "kubectl/y": "dropped", annotationEntry: "forged"},
		ManagedFields: entries,
	}}
}

func entry(manager string, operation metav1.ManagedFieldsOperationType, subresource, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}
}

// Informers may call a transform more than once on the same object: after a
// restart of the operator every listed object came twice.
func TestTrimTwiceIsTrimOnce(t *testing.T) {
	o := metadata(entry(FieldManager, metav1.ManagedFieldsOperationApply, "", `{"f:spec":{}}`))
	once, err := Trim(o)
	if err != nil {
		t.Fatal(err)
	}
	want := once.(*metav1.PartialObjectMetadata).DeepCopy()
	if len(want.Annotations[annotationEntry]) != 16 || want.Annotations["sparkpipeline.dev/x"] != "kept" || want.Annotations["kubectl/y"] != "" {
		t.Fatalf("annotations %v", want.Annotations)
	}
	twice, err := Trim(once)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(twice, want) {
		t.Errorf("got %+v, want %+v", twice, want)
	}
}

func TestEntryIsOfOurApplyAlone(t *testing.T) {
	for name, e := range map[string]metav1.ManagedFieldsEntry{
		"another manager":       entry("kubectl", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{}}`),
		"an update in our name": entry(FieldManager, metav1.ManagedFieldsOperationUpdate, "", `{"f:spec":{}}`),
		"a subresource":         entry(FieldManager, metav1.ManagedFieldsOperationApply, "status", `{"f:status":{}}`),
	} {
		trimmed, err := Trim(metadata(e))
		if err != nil {
			t.Fatal(err)
		}
		if got := trimmed.(*metav1.PartialObjectMetadata).Annotations[annotationEntry]; got != "" {
			t.Errorf("%s counts as ours: %q", name, got)
		}
	}
	a := entryOf([]metav1.ManagedFieldsEntry{entry(FieldManager, metav1.ManagedFieldsOperationApply, "", `{"f:a":{},"f:b":{}}`)})
	b := entryOf([]metav1.ManagedFieldsEntry{entry(FieldManager, metav1.ManagedFieldsOperationApply, "", `{"f:b":{},"f:a":{}}`)})
	c := entryOf([]metav1.ManagedFieldsEntry{entry(FieldManager, metav1.ManagedFieldsOperationApply, "", `{"f:a":{}}`)})
	if a != b || a == c {
		t.Errorf("digests %s, %s, %s", a, b, c)
	}
}

func TestDigestIsOfContent(t *testing.T) {
	object := func(v any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"b": v, "a": int64(1)}}
	}
	if Digest(object("x")) != Digest(object("x")) || Digest(object("x")) == Digest(object("y")) || len(Digest(object("x"))) != 16 {
		t.Error("the digest does not follow the content")
	}
}

// The watch can be faster than the answer to a write. What is remembered of a
// write must then not stay: no event would ever free it.
func TestNothingIsRememberedThatTheCacheHasShown(t *testing.T) {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind("Service")
	o.SetNamespace("data")
	o.SetName("orders")
	shown := func(version string) *metav1.PartialObjectMetadata {
		m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders", UID: "u", ResourceVersion: version}}
		m.SetGroupVersionKind(o.GroupVersionKind())
		return m
	}
	for _, c := range []struct {
		name   string
		play   func(*Engine)
		recall bool
	}{
		{"answer, then cache", func(e *Engine) { e.takeOff(o); e.land(o, written{uid: "u", version: "7"}); e.Seen(shown("7"), false) }, false},
		{"cache, then answer", func(e *Engine) { e.takeOff(o); e.Seen(shown("7"), false); e.land(o, written{uid: "u", version: "7"}) }, false},
		{"an older version in the cache", func(e *Engine) { e.takeOff(o); e.Seen(shown("6"), false); e.land(o, written{uid: "u", version: "7"}) }, true},
		{"gone again", func(e *Engine) { e.takeOff(o); e.land(o, written{uid: "u", version: "7"}); e.Seen(shown("7"), true) }, false},
		{"a write that failed", func(e *Engine) { e.takeOff(o); e.forgetWrite(o) }, false},
		{"a write under way", func(e *Engine) { e.takeOff(o) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := NewEngine(nil, nil, nil)
			c.play(e)
			if _, got := e.recall(o); got != c.recall {
				t.Errorf("remembered: %t", got)
			}
		})
	}
}

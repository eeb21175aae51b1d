// SPDX-License-Identifier: Apache-2.0

// Package recording reads watch events of SparkApplications, pods and StatefulSets
// of a namespace, from a file or as they come, and tells what happened in a form
// that two runs can be compared by: names, ids, times and figures that differ from
// run to run are left out.
package recording

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Event is one watch event. One of the three objects is set.
type Event struct {
	Deleted     bool
	Application *sparkapi.SparkApplication
	Pod         *corev1.Pod
	Set         *appsv1.StatefulSet
}

// object is the object of the event.
func (e Event) object() metav1.Object {
	switch {
	case e.Application != nil:
		return e.Application
	case e.Pod != nil:
		return e.Pod
	}
	return e.Set
}

// revision orders events of all kinds: it is etcd's. The watches that events come
// by have no common order.
func (e Event) revision() int64 {
	n, err := strconv.ParseInt(e.object().GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Read reads a file of events, one a line.
func Read(r io.Reader) ([]Event, error) {
	const longest = 1 << 20
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, longest), longest)
	var events []Event
	for n := 1; lines.Scan(); n++ {
		e, err := parse(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		events = append(events, e)
	}
	return events, lines.Err()
}

func parse(line []byte) (Event, error) {
	var raw struct {
		Event  string          `json:"event"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Event{}, fmt.Errorf("read an event: %w", err)
	}
	var kind metav1.TypeMeta
	if err := json.Unmarshal(raw.Object, &kind); err != nil {
		return Event{}, fmt.Errorf("read an event's kind: %w", err)
	}
	e := Event{Deleted: raw.Event == "DELETED"}
	var into any
	switch kind.Kind {
	case "SparkApplication":
		e.Application = &sparkapi.SparkApplication{}
		into = e.Application
	case "Pod":
		e.Pod = &corev1.Pod{}
		into = e.Pod
	case "StatefulSet":
		e.Set = &appsv1.StatefulSet{}
		into = e.Set
	default:
		return Event{}, fmt.Errorf("kind: found %q, want SparkApplication, Pod or StatefulSet", kind.Kind)
	}
	if err := json.Unmarshal(raw.Object, into); err != nil {
		return Event{}, fmt.Errorf("read a %s: %w", kind.Kind, err)
	}
	return e, nil
}

// Sorted is a copy in the order in which things happened.
func Sorted(events []Event) []Event {
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b Event) int { return int(a.revision() - b.revision()) })
	return sorted
}

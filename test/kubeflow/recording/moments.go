// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// Kind of what a moment is about.
type Kind string

// Kinds of moments.
const (
	Application Kind = "application"
	Driver      Kind = "driver"
	Set         Kind = "executors"
	Executor    Kind = "executor"
)

// Moment is a visible change of one object.
type Moment struct {
	Kind Kind
	// Subject numbers the objects of a kind in the order of their appearance. An
	// executor's has the number of its set, its ordinal there, and how many pods
	// before it had that name.
	Subject string
	// What the object looks like from now on.
	What string
	// Initial is that the object had looked so when recording began.
	Initial bool
}

func (m Moment) String() string { return fmt.Sprintf("%s %s: %s", m.Kind, m.Subject, m.What) }

// Gone is what a deleted object looks like.
const Gone = "gone"

// Teller turns events into moments. Events must come in the order in which things
// happened, at least those of one kind.
type Teller struct {
	subjects map[types.UID]string
	counts   map[Kind]int
	sets     map[string]int // Number of a set, by name.
	names    map[string]int // Pods so far, by name.
	last     map[types.UID]string
	ids      map[types.UID][]string // Executor ids so far.
}

// NewTeller begins to tell.
func NewTeller() *Teller {
	return &Teller{subjects: map[types.UID]string{}, counts: map[Kind]int{}, sets: map[string]int{}, names: map[string]int{},
		last: map[types.UID]string{}, ids: map[types.UID][]string{}}
}

// Tell answers with the moments of events that are in order.
func Tell(events []Event) []Moment {
	t := NewTeller()
	var all []Moment
	for _, e := range Sorted(events) {
		if m, ok := t.Next(e); ok {
			all = append(all, m)
		}
	}
	return all
}

// Next answers with the moment that an event is, if it changes anything to see.
func (t *Teller) Next(e Event) (Moment, bool) {
	m := Moment{Kind: kindOf(e)}
	uid := e.object().GetUID()
	_, known := t.subjects[uid]
	if !known {
		t.subjects[uid] = t.number(m.Kind, e)
	}
	m.Subject = t.subjects[uid]
	m.What, m.Initial = t.describe(e)
	m.Initial = m.Initial && !known
	if e.Deleted {
		m.What = Gone
	}
	if t.last[uid] == m.What {
		return m, false
	}
	t.last[uid] = m.What
	return m, true
}

// Subject is the number of an object that was told of.
func (t *Teller) Subject(uid types.UID) (string, bool) {
	s, ok := t.subjects[uid]
	return s, ok
}

func kindOf(e Event) Kind {
	switch {
	case e.Application != nil:
		return Application
	case e.Set != nil:
		return Set
	case e.Pod.Labels[spark.LabelRole] == spark.RoleDriver:
		return Driver
	}
	return Executor
}

func (t *Teller) number(kind Kind, e Event) string {
	name := e.object().GetName()
	if kind != Executor {
		t.counts[kind]++
		if kind == Set {
			t.setNumber(name)
		}
		return fmt.Sprint(t.counts[kind])
	}
	t.names[name]++
	cut := strings.LastIndex(name, "-")
	return fmt.Sprintf("%d-%s-%d", t.setNumber(name[:cut]), name[cut+1:], t.names[name])
}

// setNumber numbers sets by name, whether the set or a pod of it is seen first.
func (t *Teller) setNumber(name string) int {
	if t.sets[name] == 0 {
		t.sets[name] = len(t.sets) + 1
	}
	return t.sets[name]
}

// describe says what is to see of an object, and whether it is older than its
// first event.
func (t *Teller) describe(e Event) (what string, old bool) {
	switch kindOf(e) {
	case Application:
		s := e.Application.Status
		what = fmt.Sprintf("%s, %d executions, %d submissions", state(string(s.ApplicationState.State)), s.ExecutionAttempts, s.SubmissionAttempts)
		if message := s.ApplicationState.ErrorMessage; message != "" {
			what += ", " + message
		}
		return what, s.ApplicationState.State != ""
	case Set:
		return fmt.Sprintf("%d replicas", *e.Set.Spec.Replicas), e.Set.Status.ObservedGeneration > 0
	}
	return t.describePod(e.Pod), e.Pod.Status.Phase != corev1.PodPending && e.Pod.Status.Phase != ""
}

func state(s string) string {
	if s == "" {
		return "NEW"
	}
	return s
}

func (t *Teller) describePod(pod *corev1.Pod) string {
	role := kindOf(Event{Pod: pod})
	parts := []string{string(pod.Status.Phase)}
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name != spark.DriverContainer && c.Name != spark.ExecutorContainer {
			continue
		}
		if text := describeContainer(c); text != "" {
			parts = append(parts, text)
		}
		if role == Driver && c.Ready {
			parts = append(parts, "ready")
		}
		if role == Executor && c.RestartCount > 0 {
			parts = append(parts, fmt.Sprintf("%d restarts", c.RestartCount))
		}
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 {
			parts = append(parts, fmt.Sprintf("init exit %d", c.State.Terminated.ExitCode))
		}
	}
	if role == Executor {
		parts = append(parts, t.registration(pod))
	}
	if pod.DeletionTimestamp != nil {
		parts = append(parts, "being deleted")
	}
	return strings.Join(parts, ", ")
}

func describeContainer(c corev1.ContainerStatus) string {
	switch {
	case c.State.Terminated != nil:
		return fmt.Sprintf("exit %d", c.State.Terminated.ExitCode)
	case c.State.Running != nil:
		return "running"
	case c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff":
		return "backing off"
	}
	return ""
}

// registration counts the ids that an executor's pod has had.
func (t *Teller) registration(pod *corev1.Pod) string {
	id := pod.Labels[spark.LabelExecutorID]
	if id == "" || id == spark.UnknownExecutor {
		return "no id"
	}
	seen := t.ids[pod.UID]
	if len(seen) == 0 || seen[len(seen)-1] != id {
		t.ids[pod.UID] = append(seen, id)
	}
	return fmt.Sprintf("id %d", len(t.ids[pod.UID]))
}

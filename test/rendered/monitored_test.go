// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// neighbour is the rendering of a pipeline with the same spec in the same namespace.
func (r rendering) neighbour(t *testing.T, name string) rendering {
	t.Helper()
	in := r.in
	in.Pipeline = in.Pipeline.DeepCopy()
	in.Pipeline.Name = name
	return render(t, r.name+" as "+name, in)
}

// kind are the children of one kind.
func (r rendering) kind(kind string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, c := range r.children {
		if c.Object.GetKind() == kind {
			out = append(out, c.Object)
		}
	}
	return out
}

// monitored are the Services that a ServiceMonitor selects, "name:port port", each
// with the ports that it names.
func monitored(t *testing.T, monitor monitoringv1.ServiceMonitor, services []*unstructured.Unstructured) []string {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range services {
		s := corev1.Service{}
		into(t, o.Object, &s)
		if !selector.Matches(labels.Set(s.Labels)) {
			continue
		}
		var scraped []string
		for _, e := range monitor.Spec.Endpoints {
			if slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port }) {
				scraped = append(scraped, e.Path)
			}
		}
		out = append(out, s.Name+" "+strings.Join(scraped, " "))
	}
	return out
}

// A ServiceMonitor selects the Service of the driver's UI, by a port that the Service
// has, and no other Service of this pipeline or of another one.
func TestMonitoredServices(t *testing.T) {
	for _, r := range renderings(t) {
		name := r.in.Pipeline.Name
		services := r.kind("Service")
		for _, other := range []string{name + "-2", name[:len(name)-1]} {
			services = append(services, r.neighbour(t, other).kind("Service")...)
		}
		services = append(services, &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": name + "-ui-svc", "labels": map[string]any{"sparkoperator.k8s.io/app-name": name}}}})
		monitors := r.kind("ServiceMonitor")
		if len(monitors) != 1 {
			t.Errorf("%s: found %d ServiceMonitors", r.name, len(monitors))
			continue
		}
		monitor := monitoringv1.ServiceMonitor{}
		into(t, monitors[0].Object, &monitor)
		want := []string{name + "-web /metrics/prometheus/ /metrics/executors/prometheus"}
		if got := monitored(t, monitor, services); !slices.Equal(got, want) {
			t.Errorf("%s: monitored are %q, expected %q", r.name, got, want)
		}
		if monitor.Namespace != services[0].GetNamespace() || monitor.Spec.NamespaceSelector.Any || monitor.Spec.NamespaceSelector.MatchNames != nil {
			t.Errorf("%s: the monitor of %s looks into %v", r.name, monitor.Namespace, monitor.Spec.NamespaceSelector)
		}

		delete(monitor.Spec.Selector.MatchLabels, desired.LabelComponent)
		if got := monitored(t, monitor, services); len(got) < 2 {
			t.Errorf("%s: that more is monitored is not noticed: %q", r.name, got)
		}
		monitor.Spec.Endpoints[0].Port = "ui"
		if got := monitored(t, monitor, services); slices.Contains(got, want[0]) {
			t.Errorf("%s: a port that does not exist is not noticed: %q", r.name, got)
		}
	}
}

// In a shared namespace a schedule of Velero selects every child of the pipeline and
// its running pods, whose volumes are copied, and nothing of others. In a dedicated
// one it takes all.
func TestBackedUpObjects(t *testing.T) {
	recorded := recordedPods(t)
	seen := 0
	for _, r := range renderings(t) {
		name := r.in.Pipeline.Name
		for _, schedule := range r.kind("Schedule") {
			seen++
			content, _, err := unstructured.NestedMap(schedule.Object, "spec", "template", "labelSelector")
			if err != nil {
				t.Fatal(err)
			}
			if r.in.Pipeline.Spec.Namespace != "" {
				if content != nil {
					t.Errorf("%s: of a dedicated namespace only %v is backed up", r.name, content)
				}
				continue
			}
			selector, err := selectorOf(content)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.children {
				if !selector.Matches(labels.Set(c.Object.GetLabels())) {
					t.Errorf("%s: %s %s is not backed up", r.name, c.Object.GetKind(), c.Object.GetName())
				}
			}
			for _, other := range []string{name + "-2", name[:len(name)-1]} {
				for _, c := range r.neighbour(t, other).children {
					if selector.Matches(labels.Set(c.Object.GetLabels())) {
						t.Errorf("%s: %s %s is backed up", r.name, c.Object.GetKind(), c.Object.GetName())
					}
				}
			}
			if got := matched(append(r.inhabitants(t, recorded), r.strangers(t, recorded)...), selector); got != "driver executor" {
				t.Errorf("%s: the pods %q are backed up", r.name, got)
			}
		}
	}
	if seen < 5 {
		t.Errorf("saw %d schedules", seen)
	}
}

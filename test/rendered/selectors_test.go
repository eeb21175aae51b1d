// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// everybody stands for a selector without any condition.
const everybody = "everybody"

// selected are the pods that each selector means, by kind, name after that of the
// pipeline, and path.
var selected = map[string]string{
	"PodDisruptionBudget -driver spec.selector":                                             "driver",
	"PodDisruptionBudget -executor spec.selector":                                           "executor",
	"Service -web spec.selector":                                                            "driver",
	"Service -pods spec.selector":                                                           "driver executor",
	"Service -history spec.selector":                                                        "history",
	"Deployment -history spec.selector":                                                     "history",
	"Deployment -watch spec.selector":                                                       "watch",
	"NetworkPolicy -watch spec.podSelector":                                                 "watch",
	"PodMonitor -watch spec.selector":                                                       "watch",
	"NetworkPolicy -driver spec.podSelector":                                                "driver",
	"NetworkPolicy -executor spec.podSelector":                                              "executor",
	"NetworkPolicy -agent spec.podSelector":                                                 "agent",
	"NetworkPolicy -history spec.podSelector":                                               "history",
	"NetworkPolicy -default spec.podSelector":                                               everybody,
	"PodMonitor  spec.selector":                                                             "driver executor",
	"SparkApplication  spec.executor.template.spec.topologySpreadConstraints.labelSelector": "executor",
	"SparkPipeline  status.selector":                                                        "driver executor",
	"ConfigMap -guard data.orders.json.podSelector":                                         "driver executor",
}

// elsewhereSelected are selectors over something that is no pod.
var elsewhereSelected = []string{
	"ServiceMonitor  spec.selector", // Services: TestMonitoredServices.
	"HorizontalPodAutoscaler  spec.metrics.external.metric.selector",
	"Schedule  spec.template.labelSelector", // All objects: TestBackedUpObjects.
	"SparkApplication  spec.driver.template.spec.nodeSelector",
	"SparkApplication  spec.executor.template.spec.nodeSelector",
}

// selectedFlows are the peers of policies among the pods, with their ports.
var selectedFlows = map[string][]string{
	"-driver in":    {"executor:7078,7079"},
	"-driver out":   {"executor:7079"},
	"-executor in":  {"driver executor:7079"},
	"-executor out": {"driver:7078,7079", "executor:7079"},
}

// selecting is one selector of a rendering with its place.
type selecting struct {
	place    string
	selector labels.Selector
}

// selectings are all selectors of a rendering but the peers of policies: whatever is
// called a selector, so that a new one cannot be forgotten.
func (r rendering) selectings(t *testing.T) []selecting {
	t.Helper()
	var out []selecting
	visit := func(kind, name string, content any) {
		find(content, "", func(path string, v any) {
			if kind == "NetworkPolicy" && strings.Contains(path, "gress.") {
				return // They are judged as flows.
			}
			s, err := selectorOf(v)
			if err != nil {
				t.Fatalf("%s: %s %s: %v", r.name, kind, path, err)
			}
			out = append(out, selecting{strings.Join([]string{kind, strings.TrimPrefix(name, r.app.Name), path}, " "), s})
		})
	}
	for _, c := range r.children {
		switch kind := c.Object.GetKind(); kind {
		case "ControllerRevision": // Holds the SparkApplication for reading.
		case "Schedule":
			visit(kind, r.app.Name, c.Object.Object)
		default:
			visit(kind, c.Object.GetName(), c.Object.Object)
		}
	}
	content := map[string]any{}
	text, err := json.Marshal(r.app)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	visit("SparkApplication", r.app.Name, content)
	return append(out, r.writtenSelectors(t)...)
}

// writtenSelectors are those that are texts: of the pipeline's scale, and of the
// guard's orders.
func (r rendering) writtenSelectors(t *testing.T) []selecting {
	t.Helper()
	texts := map[string]string{"SparkPipeline  status.selector": desired.SparkPodSelector(r.in.Pipeline)}
	for _, c := range r.children {
		if c.Object.GetKind() == "ConfigMap" && c.Object.GetName() == r.app.Name+"-guard" {
			config := corev1.ConfigMap{}
			into(t, c.Object.Object, &config)
			var orders struct{ PodSelector string }
			if err := json.Unmarshal([]byte(config.Data["orders.json"]), &orders); err != nil {
				t.Fatal(err)
			}
			texts["ConfigMap -guard data.orders.json.podSelector"] = orders.PodSelector
		}
	}
	var out []selecting
	for place, text := range texts {
		s, err := labels.Parse(text)
		if err != nil {
			t.Fatalf("%s: %s: %v", r.name, place, err)
		}
		out = append(out, selecting{place, s})
	}
	return out
}

// find visits all maps whose name ends with "elector", with their path without the
// positions in lists.
func find(v any, path string, visit func(path string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if _, ok := e.(map[string]any); ok && strings.HasSuffix(k, "elector") {
				visit(strings.TrimPrefix(path+"."+k, "."), e)
				continue
			}
			find(e, path+"."+k, visit)
		}
	case []any:
		for _, e := range v {
			find(e, path, visit)
		}
	}
}

// selectorOf reads a selector in either of its forms: labels right away, as those of
// Services are, or matchLabels and matchExpressions.
func selectorOf(v any) (labels.Selector, error) {
	m := v.(map[string]any)
	if len(m) == 0 {
		return labels.Everything(), nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if m["matchLabels"] == nil && m["matchExpressions"] == nil {
		set := labels.Set{}
		err := json.Unmarshal(text, &set)
		return labels.SelectorFromSet(set), err
	}
	s := metav1.LabelSelector{}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&s)
}

// matched are the roles of which a pod is selected: "driver executor". A role of
// which only some are is marked, pods of others are named.
func matched(pods []inhabitant, selectors ...labels.Selector) string {
	all, some := map[string]bool{}, map[string]bool{}
	for _, p := range pods {
		if _, known := all[p.role]; !known {
			all[p.role] = true
		}
		if slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(p.labels) }) {
			some[p.role] = true
		} else {
			all[p.role] = false
		}
	}
	if len(some) == len(all) && !slices.Contains(slices.Collect(maps.Values(all)), false) {
		return everybody
	}
	var out []string
	for _, role := range slices.Sorted(maps.Keys(some)) {
		if !all[role] {
			role = "some " + role
		}
		out = append(out, role)
	}
	return strings.Join(out, " ")
}

// misses are the selectors that do not select what they mean.
func (r rendering) misses(t *testing.T, pods []inhabitant) []string {
	t.Helper()
	var out []string
	for _, s := range r.selectings(t) {
		if slices.Contains(elsewhereSelected, s.place) {
			continue
		}
		want, known := selected[s.place]
		if !known {
			out = append(out, fmt.Sprintf("%s: %s selects pods, and nobody says which", r.name, s.place))
			continue
		}
		if got := matched(pods, s.selector); got != want {
			out = append(out, fmt.Sprintf("%s: %s selects %q by %s, expected %q", r.name, s.place, got, s.selector, want))
		}
	}
	for place, want := range selectedFlows {
		name, direction, _ := strings.Cut(place, " ")
		if got := r.podFlows(t, name, direction, pods); r.in.Pipeline.Spec.Network.Policy == "Strict" && !slices.Equal(got, want) {
			out = append(out, fmt.Sprintf("%s: NetworkPolicy %s lets %q, expected %q", r.name, place, got, want))
		}
	}
	return out
}

// podFlows are the rules of a policy that name pods: whom, and by which ports.
func (r rendering) podFlows(t *testing.T, name, direction string, pods []inhabitant) []string {
	t.Helper()
	var out []string
	for _, c := range r.children {
		if c.Object.GetKind() != "NetworkPolicy" || c.Object.GetName() != r.app.Name+name {
			continue
		}
		policy := networkingv1.NetworkPolicy{}
		into(t, c.Object.Object, &policy)
		rule := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
			var selectors []labels.Selector
			for _, p := range peers {
				if p.PodSelector == nil {
					continue
				}
				if p.NamespaceSelector != nil {
					t.Errorf("%s: %s names pods of other namespaces", r.name, c.Object.GetName())
				}
				s, err := metav1.LabelSelectorAsSelector(p.PodSelector)
				if err != nil {
					t.Fatal(err)
				}
				selectors = append(selectors, s)
			}
			var numbers []string
			for _, p := range ports {
				numbers = append(numbers, p.Port.String())
			}
			if selectors != nil {
				out = append(out, matched(pods, selectors...)+":"+strings.Join(numbers, ","))
			}
		}
		if direction == "in" {
			for _, i := range policy.Spec.Ingress {
				rule(i.From, i.Ports)
			}
			continue
		}
		for _, e := range policy.Spec.Egress {
			rule(e.To, e.Ports)
		}
	}
	return out
}

// Each selector of each rendering selects exactly the pods that it means, of the
// pods that real controllers and real Spark made, and of none of the others that
// share the namespace.
func TestSelectors(t *testing.T) {
	recorded := recordedPods(t)
	seen := map[string]bool{}
	for _, r := range renderings(t) {
		pods := append(r.inhabitants(t, recorded), r.strangers(t, recorded)...)
		for _, miss := range r.misses(t, pods) {
			t.Error(miss)
		}
		for _, s := range r.selectings(t) {
			seen[s.place] = true
		}
	}
	for place := range selected {
		if !seen[place] {
			t.Errorf("%s is in the table, and no rendering has it", place)
		}
	}
	for _, place := range elsewhereSelected {
		if !seen[place] {
			t.Errorf("%s is in the list, and no rendering has it", place)
		}
	}
}

// A pod without one of the labels that it is known by, and a stranger with them, are
// noticed.
func TestWrongLabelsAreSeen(t *testing.T) {
	r := render(t, "full", input(t, "full"))
	recorded := recordedPods(t)
	change := func(name, value string) func(labels.Set) {
		return func(set labels.Set) {
			if set[name] == "" {
				t.Errorf("there is no label %s to change in %v", name, set)
			}
			set[name] = value
		}
	}
	for _, c := range []struct {
		role   string
		change func(labels.Set)
		wrong  []string // Beginnings of what must be said, among others.
	}{
		{driverRole, change("spark-role", "Driver"), []string{"PodDisruptionBudget -driver", "Service -web", "NetworkPolicy -driver spec"}},
		{driverRole, change("spark-role", "executor"), []string{"PodDisruptionBudget -driver", "PodDisruptionBudget -executor", "SparkApplication ", "NetworkPolicy -driver in"}},
		{driverRole, change(desired.LabelPipeline, "orders-ful"), []string{"PodDisruptionBudget -driver", "Service -pods", "SparkPipeline ", "ConfigMap -guard"}},
		{executorRole, change(desired.LabelPipeline, ""), []string{"PodDisruptionBudget -executor", "PodMonitor ", "NetworkPolicy -executor in", "NetworkPolicy -driver out"}},
		{historyRole, change(desired.LabelComponent, "history"), []string{"Service -history", "Deployment -history", "NetworkPolicy -history"}},
		{agentRole, change(desired.LabelWorkload, "orders"), []string{"NetworkPolicy -agent"}},
		{"executor of orders-full-2", change(desired.LabelPipeline, "orders-full"), []string{"PodDisruptionBudget -executor", "NetworkPolicy -executor spec"}},
		{"agent of orders-full-2", change(desired.LabelWorkload, "orders-full"), []string{"NetworkPolicy -agent"}},
	} {
		pods := append(r.inhabitants(t, recorded), r.strangers(t, recorded)...)
		at := slices.IndexFunc(pods, func(p inhabitant) bool { return p.role == c.role })
		if at < 0 {
			t.Fatalf("there is no %s", c.role)
		}
		c.change(pods[at].labels)
		misses := r.misses(t, pods)
		for _, wrong := range c.wrong {
			if !slices.ContainsFunc(misses, func(m string) bool { return strings.HasPrefix(m, "full: "+wrong) }) {
				t.Errorf("%s with %v: %s is not noticed in %q", c.role, pods[at].labels, wrong, misses)
			}
		}
	}
}

// A selector that lacks one of its labels is noticed, whichever it is.
func TestWrongSelectorsAreSeen(t *testing.T) {
	recorded := recordedPods(t)
	r := render(t, "full", input(t, "full"))
	pods := append(r.inhabitants(t, recorded), r.strangers(t, recorded)...)
	tried := 0
	for i, c := range r.children {
		switch c.Object.GetKind() {
		case "PodDisruptionBudget", "Service", "NetworkPolicy", "PodMonitor", "Deployment":
		default:
			continue
		}
		for _, label := range []string{desired.LabelPipeline, "spark-role", desired.LabelWorkload, desired.LabelComponent} {
			changed := r
			changed.children = slices.Clone(r.children)
			changed.children[i].Object = c.Object.DeepCopy()
			if !drop(changed.children[i].Object.Object["spec"], label) {
				continue
			}
			tried++
			if len(changed.misses(t, pods)) == 0 {
				t.Errorf("%s %s without %s is not noticed", c.Object.GetKind(), c.Object.GetName(), label)
			}
		}
	}
	if tried < 20 {
		t.Errorf("tried %d selectors", tried)
	}
}

// drop removes a label from the selectors in a value, and says if one had it.
func drop(v any, label string) bool {
	dropped := false
	find(v, "", func(_ string, v any) {
		for _, m := range []any{v, v.(map[string]any)["matchLabels"]} {
			if m, ok := m.(map[string]any); ok && m[label] != nil {
				delete(m, label)
				dropped = true
			}
		}
	})
	return dropped
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// installed reads the objects of one kind from a manifest of the install.
func installed[T any](t *testing.T, kind string, path ...string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "config"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	for _, document := range bytes.Split(data, []byte("\n---\n")) {
		var is struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(document, &is); err != nil {
			t.Fatal(err)
		}
		if is.Kind != kind {
			continue
		}
		var o T
		if err := yaml.UnmarshalStrict(document, &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		t.Fatalf("%v holds no %s", path, kind)
	}
	return out
}

// verbs are what a role allows for a resource as a whole.
func verbs(role rbacv1.ClusterRole, group, resource string) []string {
	var out []string
	for _, r := range role.Rules {
		if slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) && len(r.ResourceNames) == 0 {
			out = append(out, r.Verbs...)
		}
	}
	slices.Sort(out)
	return out
}

// The operator may do with each kind of children what it does, and no more: it
// watches, applies and deletes. Of Secrets it may make one and read none.
func TestRightsOfTheOperator(t *testing.T) {
	role := installed[rbacv1.ClusterRole](t, "ClusterRole", "rbac", "role.yaml")[0]
	want := []string{"create", "delete", "get", "list", "patch", "watch"}
	kinds := []schema.GroupVersionKind{{Group: "sparkoperator.k8s.io", Version: "v1beta2", Kind: "SparkApplication"}}
	for _, k := range desired.Kinds() {
		gvk := k.Object.GetObjectKind().GroupVersionKind()
		if gvk.Kind == "" {
			known, _, err := scheme(t).ObjectKinds(k.Object)
			if err != nil {
				t.Fatal(err)
			}
			gvk = known[0]
		}
		kinds = append(kinds, gvk)
	}
	for _, gvk := range kinds {
		resource, _ := meta.UnsafeGuessKindToResource(gvk)
		expected := want
		switch gvk.Kind {
		case "Secret":
			expected = []string{"create"}
		case "VolumeSnapshot": // The agent makes them.
			expected = []string{"delete", "get", "list", "watch"}
		}
		if got := verbs(role, gvk.Group, resource.Resource); !slices.Equal(got, expected) {
			t.Errorf("%s: the operator may %v, expected %v", resource.GroupResource(), got, expected)
		}
	}
}

// The operator lends nobody its power: nothing is allowed for all, and it gives
// away only the roles that come with the install, which read no Secret.
func TestRightsThatAreGivenAway(t *testing.T) {
	role := installed[rbacv1.ClusterRole](t, "ClusterRole", "rbac", "role.yaml")[0]
	for _, r := range role.Rules {
		for _, word := range slices.Concat(r.APIGroups, r.Resources, r.Verbs) {
			if word == "*" || word == "escalate" || word == "impersonate" {
				t.Errorf("the rule %+v allows %s", r, word)
			}
		}
	}
	var may []string
	for _, r := range role.Rules {
		if slices.Contains(r.Verbs, "bind") {
			if len(r.ResourceNames) == 0 || !slices.Equal(r.Resources, []string{"clusterroles"}) {
				t.Errorf("bind is allowed for %+v", r)
			}
			may = append(may, r.ResourceNames...)
		}
	}
	shipped := map[string]rbacv1.ClusterRole{}
	for _, r := range installed[rbacv1.ClusterRole](t, "ClusterRole", "rbac", "workload_roles.yaml") {
		shipped[r.Name] = r
	}
	given := map[string]bool{}
	for _, in := range cases(t) {
		for _, o := range rendered(t, in.Name, in.Input) {
			if o.Object.GetKind() != "RoleBinding" {
				continue
			}
			b := child[rbacv1.RoleBinding](t, in.Input, "bindings", o.Object.GetName())
			if _, ok := shipped[b.RoleRef.Name]; !ok || !slices.Contains(may, b.RoleRef.Name) || b.RoleRef.Kind != "ClusterRole" {
				t.Errorf("%s binds %+v; shipped and allowed are %v", o.name, b.RoleRef, may)
			}
			if len(b.Subjects) != 1 || b.Subjects[0].Kind != "ServiceAccount" || b.Subjects[0].Namespace != b.Namespace || !has(t, in.Input, "accounts", b.Subjects[0].Name) {
				t.Errorf("%s is for %+v", o.name, b.Subjects)
			}
			given[b.RoleRef.Name] = true
		}
	}
	if len(given) != len(may) {
		t.Errorf("the operator may bind %v and binds %v", may, given)
	}
	for name, r := range shipped {
		if got := verbs(r, "", "secrets"); got != nil {
			t.Errorf("%s may %v Secrets", name, got)
		}
	}
}

// The agent may do what its snapshots take, and nothing else: see what
// internal/snapshot asks of the API server.
func TestRightsOfTheAgent(t *testing.T) {
	for _, r := range installed[rbacv1.ClusterRole](t, "ClusterRole", "rbac", "workload_roles.yaml") {
		if r.Name != "sparkpipeline-agent" {
			continue
		}
		want := []rbacv1.PolicyRule{
			{APIGroups: []string{"snapshot.storage.k8s.io"}, Resources: []string{"volumesnapshots"}, Verbs: []string{"get", "list", "create", "patch", "delete"}},
			{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"get"}},
		}
		if diff := difference(want, r.Rules); diff != "" {
			t.Errorf("rights of the agent (-expected +shipped):\n%s", diff)
		}
		return
	}
	t.Error("there is no role of the agent")
}

// The classes of priority that pods name come with the install, the driver's
// above the executors'.
func TestPriorityClasses(t *testing.T) {
	value := map[string]int32{}
	for _, c := range installed[schedulingv1.PriorityClass](t, "PriorityClass", "priority", "priorityclasses.yaml") {
		value[c.Name] = c.Value
	}
	r, err := desired.Application(scheme(t), caseNamed(t, "minimal"))
	if err != nil {
		t.Fatal(err)
	}
	driver, executor := value[pod(t, r, "driver").Spec.PriorityClassName], value[pod(t, r, "executor").Spec.PriorityClassName]
	if executor <= 0 || driver <= executor {
		t.Errorf("the driver has the priority %d, executors %d", driver, executor)
	}
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// object is a child, or the SparkApplication, of one case.
type object struct {
	desired.Child
	in   desired.Input
	name string // For messages.
}

// everything is what all cases render, SparkApplications among them.
func everything(t *testing.T) []object {
	t.Helper()
	var out []object
	for _, c := range cases(t) {
		out = append(out, rendered(t, c.Name, c.Input)...)
	}
	return out
}

func rendered(t *testing.T, name string, in desired.Input) []object {
	t.Helper()
	children, err := desired.Render(scheme(t), in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	r, err := desired.Application(scheme(t), in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	children = append(children, desired.Child{Name: "application", Object: r.Object, Wave: desired.LastWaveBeforeStart + 1})
	var out []object
	for _, c := range children {
		out = append(out, object{c, in, fmt.Sprintf("%s: %s %s/%s", name, c.Object.GetKind(), c.Object.GetNamespace(), c.Object.GetName())})
	}
	return out
}

func difference(a, b any) string { return cmp.Diff(a, b) }

// Names fit where Kubernetes and Spark put them, and no two pipelines of one
// namespace can have a child of the same kind and name: a suffix is short, and
// what is outside of the workload's namespace carries a hash.
func TestNames(t *testing.T) {
	long := caseNamed(t, "full")
	long.Pipeline.Name = strings.Repeat("a", 40)
	long.Pipeline.Spec.Namespace = strings.Repeat("n", 63)
	for _, o := range append(everything(t), rendered(t, "long", long)...) {
		p, name := o.in.Pipeline, o.Object.GetName()
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			t.Errorf("%s: %v", o.name, problems)
		}
		for _, v := range o.Object.GetLabels() {
			if problems := validation.IsValidLabelValue(v); len(problems) > 0 {
				t.Errorf("%s: label %q: %v", o.name, v, problems)
			}
		}
		switch {
		case o.Object.GetKind() == "Namespace":
			if name != p.Spec.Namespace {
				t.Errorf("%s: expected the name %s", o.name, p.Spec.Namespace)
			}
		case o.Object.GetNamespace() == p.WorkloadNamespace():
			suffix, ok := strings.CutPrefix(name, p.Name)
			if !ok || len(suffix) > 12 && !strings.HasPrefix(suffix, "-checkpoint-r") {
				t.Errorf("%s: the suffix %q has %d characters; at most 12 are allowed", o.name, suffix, len(suffix))
			}
		case o.Object.GetKind() == "Schedule":
			if !strings.HasPrefix(name, "sp-"+p.Name+"-") || len(name) != len("sp--0123456789")+len(p.Name) {
				t.Errorf("%s: no hash of ten characters", o.name)
			}
		default:
			t.Errorf("%s: outside of the namespace %s", o.name, p.WorkloadNamespace())
		}
	}
}

// Two pipelines of one name in two namespaces never meet.
func TestNamesakesDoNotMeet(t *testing.T) {
	a, b := caseNamed(t, "minimal"), caseNamed(t, "minimal")
	b.Pipeline.Namespace = "stage"
	seen := map[string]bool{}
	for _, o := range append(rendered(t, "a", a), rendered(t, "b", b)...) {
		key := fmt.Sprint(o.Object.GroupVersionKind().GroupKind(), o.Object.GetNamespace(), o.Object.GetName())
		if seen[key] {
			t.Errorf("%s is there twice", o.name)
		}
		seen[key] = true
	}
}

// Claims and namespaces hold data: the garbage collector must not get at them,
// and no GitOps tool. All else in the pipeline's namespace goes with it.
func TestOwnersAndDurableChildren(t *testing.T) {
	for _, o := range everything(t) {
		p := o.in.Pipeline
		kind := o.Object.GetKind()
		durable := kind == "Namespace" || kind == "PersistentVolumeClaim"
		if o.Durable != durable {
			t.Errorf("%s: durable is %t", o.name, o.Durable)
		}
		var want []metav1.OwnerReference
		if !durable && o.Object.GetNamespace() == p.Namespace {
			want = []metav1.OwnerReference{{APIVersion: "sparkpipeline.dev/v1alpha1", Kind: "SparkPipeline", Name: p.Name, UID: p.UID, Controller: new(true)}}
		}
		if diff := difference(want, o.Object.GetOwnerReferences()); diff != "" {
			t.Errorf("%s: owners (-expected +rendered):\n%s", o.name, diff)
		}
		annotations := o.Object.GetAnnotations()
		argo, flux := annotations["argocd.argoproj.io/sync-options"], annotations["kustomize.toolkit.fluxcd.io/prune"]
		if durable && (argo != "Prune=false,Delete=false" || flux != "disabled") || !durable && argo+flux != "" {
			t.Errorf("%s: Argo CD is told %q, Flux %q", o.name, argo, flux)
		}
	}
}

// A child is told by its labels alone; a pod must never look like one.
func TestInventoryLabels(t *testing.T) {
	inventory := []string{desired.LabelPipeline, desired.LabelPipelineNamespace, desired.LabelManagedBy}
	templates := 0
	for _, o := range everything(t) {
		p := o.in.Pipeline
		want := []string{p.Name, p.Namespace, "sparkpipeline-operator"}
		for i, label := range inventory {
			if got := o.Object.GetLabels()[label]; got != want[i] {
				t.Errorf("%s: %s is %q, expected %q", o.name, label, got, want[i])
			}
		}
		for _, template := range podTemplates(t, o.Object) {
			templates++
			for _, label := range inventory {
				if v, ok := template.Labels[label]; ok && !(observed(template) && label == desired.LabelPipelineNamespace && v == p.Namespace) {
					t.Errorf("%s: the template carries the inventory label %s", o.name, label)
				}
			}
		}
		walk(o.Object.Object, "", func(path string, v any) {
			if strings.Contains(path, "app.kubernetes.io/instance") || strings.Contains(path, "argocd.argoproj.io/instance") {
				t.Errorf("%s: %s = %v", o.name, path, v)
			}
		})
	}
	if templates < 50 {
		t.Errorf("only %d templates were looked at", templates)
	}
}

// With server-side apply a zero value is a claim to the field. Only these empty
// objects say something.
func TestNoZeroValues(t *testing.T) {
	speaking := []string{"emptyDir", "podSelector", "namespaceSelector", "selfSigned"}
	for _, o := range everything(t) {
		if _, ok := o.Object.Object["status"]; ok {
			t.Errorf("%s: has a status", o.name)
		}
		for _, field := range []string{"creationTimestamp", "uid", "resourceVersion", "generation", "managedFields", "finalizers"} {
			if _, ok := o.Object.Object["metadata"].(map[string]any)[field]; ok {
				t.Errorf("%s: metadata.%s belongs to somebody else", o.name, field)
			}
		}
		walk(o.Object.Object, "", func(path string, v any) {
			field := path[strings.LastIndex(path, ".")+1:]
			switch v := v.(type) {
			case nil:
				t.Errorf("%s: %s is null", o.name, path)
			case string:
				if v == "" {
					t.Errorf("%s: %s is empty", o.name, path)
				}
			case map[string]any:
				if len(v) == 0 && (!slices.Contains(speaking, field) || path == ".spec.namespaceSelector") {
					t.Errorf("%s: %s is an empty object", o.name, path)
				}
			case []any:
				if len(v) == 0 {
					t.Errorf("%s: %s is an empty list", o.name, path)
				}
			}
		})
	}
}

// walk visits all values of an object.
func walk(v any, path string, visit func(string, any)) {
	visit(path, v)
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			walk(v[k], path+"."+k, visit)
		}
	case []any:
		for i, e := range v {
			walk(e, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// The operator gives the Secret its values when it posts it; no rendering holds
// one, and passwords reach Spark by reference alone.
func TestNoSecretValues(t *testing.T) {
	secrets := 0
	for _, o := range everything(t) {
		if o.Object.GetKind() == "Secret" {
			secrets++
			if !o.Once || o.Object.Object["data"] != nil || o.Object.Object["stringData"] != nil {
				t.Errorf("%s: once is %t, content %v", o.name, o.Once, o.Object.Object)
			}
		}
		conf, _, err := unstructured.NestedStringMap(o.Object.Object, "spec", "sparkConf")
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range conf {
			reference := strings.Contains(name, ".secretKeyRef.") || strings.Contains(name, ".secrets.")
			lower := strings.ToLower(name)
			if !reference && (strings.Contains(lower, "password") || strings.Contains(lower, "secret") || strings.Contains(lower, "access.key")) {
				t.Errorf("%s: the setting %s is %q", o.name, name, value)
			}
		}
	}
	if secrets == 0 {
		t.Error("no Secret was looked at")
	}
}

// A builder sees its input and changes none of it, and what it answers is its
// own: twice the same, whatever became of the first answer.
func TestRenderingIsPure(t *testing.T) {
	for _, c := range cases(t) {
		before := text(t, c.Input)
		first := rendered(t, c.Name, c.Input)
		want := make([]string, len(first))
		for i, o := range first {
			want[i] = text(t, o.Object.Object)
		}
		for _, o := range first {
			scribble(o.Object.Object)
		}
		if diff := difference(before, text(t, c.Input)); diff != "" {
			t.Errorf("%s: the input has changed:\n%s", c.Name, diff)
		}
		for i, o := range rendered(t, c.Name, c.Input) {
			if diff := difference(want[i], text(t, o.Object.Object)); diff != "" {
				t.Errorf("%s: another rendering:\n%s", o.name, diff)
			}
		}
	}
}

// text writes a value with sorted keys.
func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// scribble overwrites everything that is reachable from a value.
func scribble(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			scribble(e)
			if _, ok := e.(string); ok {
				v[k] = "scribbled"
			}
		}
		v["scribbled"] = true
	case []any:
		for i, e := range v {
			scribble(e)
			if _, ok := e.(string); ok {
				v[i] = "scribbled"
			}
		}
	}
}

// What the operator writes into the status, and what it is called with by the API
// server, makes no child another one: else a pass would never come to rest.
func TestStatusAndGenerationChangeNoChild(t *testing.T) {
	for _, c := range cases(t) {
		other := c.Input
		other.Pipeline = c.Input.Pipeline.DeepCopy()
		other.Pipeline.Generation, other.Pipeline.ResourceVersion = 7, "12345"
		other.Pipeline.Labels = map[string]string{"app.kubernetes.io/instance": "argo"}
		other.Pipeline.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "argo:x"}
		other.Pipeline.Finalizers = []string{"sparkpipeline.dev/finalizer"}
		other.Pipeline.Status = v1alpha1.SparkPipelineStatus{
			ObservedGeneration: 6, Selector: "x=y",
			Children: []v1alpha1.ChildStatus{{Kind: "Service", Name: "web"}},
		}
		a, err := desired.Render(scheme(t), c.Input)
		if err != nil {
			t.Fatal(err)
		}
		b, err := desired.Render(scheme(t), other)
		if err != nil {
			t.Fatal(err)
		}
		if diff := difference(a, b); diff != "" {
			t.Errorf("%s:\n%s", c.Name, diff)
		}
	}
}

// Every object of a case is there once, of a kind that its registry entry owns:
// kinds that nobody lists are neither watched nor pruned.
func TestKindsAreOwned(t *testing.T) {
	owned := map[string]map[schema.GroupVersionKind]bool{}
	for _, k := range desired.Kinds() {
		gvk := k.Object.GetObjectKind().GroupVersionKind()
		if gvk.Kind == "" {
			kinds, _, err := scheme(t).ObjectKinds(k.Object)
			if err != nil {
				t.Fatal(err)
			}
			gvk = kinds[0]
		}
		if owned[k.Name] == nil {
			owned[k.Name] = map[schema.GroupVersionKind]bool{}
		}
		owned[k.Name][gvk] = true
	}
	for _, c := range cases(t) {
		seen := map[string]bool{}
		wave := 0
		for _, o := range rendered(t, c.Name, c.Input) {
			key := fmt.Sprint(o.Object.GroupVersionKind(), o.Object.GetNamespace(), o.Object.GetName())
			if seen[key] {
				t.Errorf("%s is there twice", o.name)
			}
			seen[key] = true
			if o.Child.Name == "application" {
				continue
			}
			if !owned[o.Child.Name][o.Object.GroupVersionKind()] {
				t.Errorf("%s: the entry %s does not own the kind", o.name, o.Child.Name)
			}
			if o.Wave < wave {
				t.Errorf("%s: wave %d comes after wave %d", o.name, o.Wave, wave)
			}
			wave = o.Wave
		}
	}
}

// observed says that a pod is one of those that the operator's cache holds, by one
// of the inventory labels.
func observed(template corev1.PodTemplateSpec) bool {
	name := template.Spec.Containers[0].Name
	return name == "watch" || name == "check"
}

// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/manifest"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/desired/testdata"
	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// rendering is all that the operator makes of one pipeline.
type rendering struct {
	name     string
	in       desired.Input
	children []desired.Child
	app      *sparkapi.SparkApplication
}

// renderings are those of the cases of the golden files and of the samples that
// users start from.
func renderings(t *testing.T) []rendering {
	t.Helper()
	cases, err := testdata.Cases()
	if err != nil {
		t.Fatal(err)
	}
	var out []rendering
	for _, c := range cases {
		out = append(out, render(t, c.Name, c.Input))
	}
	for _, sample := range []string{"minimal", "full"} {
		p, err := manifest.Load("../../config/samples/" + sample + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, render(t, "sample "+sample, desired.Input{Pipeline: p, Defaults: testdata.Defaults(),
			Facts: desired.Facts{Encryption: v1alpha1.SecurityAES}}))
	}
	return out
}

// input is that of one case.
func input(t *testing.T, name string) desired.Input {
	t.Helper()
	cases, err := testdata.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if c.Name == name {
			return c.Input
		}
	}
	t.Fatalf("there is no case %q", name)
	return desired.Input{}
}

func render(t *testing.T, name string, in desired.Input) rendering {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := desired.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	children, err := desired.Render(scheme, in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	application, err := desired.Application(scheme, in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	app := &sparkapi.SparkApplication{}
	into(t, application.Object.Object, app)
	app.Status.SubmissionID = "c0ffee00-0000-4000-8000-000000000001"
	return rendering{name: name, in: in, children: children, app: app}
}

// into reads what is sent as the API server would, into a typed object.
func into(t *testing.T, content map[string]any, object any) {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, object); err != nil {
		t.Fatal(err)
	}
}

// pod is a pod that comes of a rendering.
type pod struct {
	name string // of the pod's maker, such as CronJob orders-backup
	meta metav1.ObjectMeta
	spec corev1.PodSpec
}

// sparkPods are driver and executor: the templates of the SparkApplication with
// what spark-submit, kubeflow and the driver add.
func (r rendering) sparkPods(t *testing.T) []pod {
	t.Helper()
	run := spark.NewRun(r.app)
	driver, err := run.Driver()
	if err != nil {
		t.Fatalf("%s: driver: %v", r.name, err)
	}
	set, err := run.Executors(driver)
	if err != nil {
		t.Fatalf("%s: executors: %v", r.name, err)
	}
	return []pod{
		{"driver", driver.ObjectMeta, driver.Spec},
		{"executor", set.Spec.Template.ObjectMeta, set.Spec.Template.Spec},
	}
}

// ownPods are those of the operator's own making: each template that is anywhere in
// a child.
func (r rendering) ownPods(t *testing.T) []pod {
	t.Helper()
	var out []pod
	for _, c := range r.children {
		if c.Object.GetKind() == "ControllerRevision" {
			continue // Holds the SparkApplication for reading, and makes no pod.
		}
		walk(c.Object.Object, func(m map[string]any) {
			spec, ok := m["spec"].(map[string]any)
			if !ok || spec["containers"] == nil {
				return
			}
			template := corev1.PodTemplateSpec{}
			into(t, m, &template)
			out = append(out, pod{c.Object.GetKind() + " " + c.Object.GetName(), template.ObjectMeta, template.Spec})
		})
	}
	return out
}

// walk visits every map in a value.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, e := range v {
			walk(e, visit)
		}
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	}
}

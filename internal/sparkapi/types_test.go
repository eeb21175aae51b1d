// SPDX-License-Identifier: Apache-2.0

package sparkapi_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/internal/sparkapi/testdata"
)

type schema = apiextensionsv1.JSONSchemaProps

// root is the schema of the version that the types describe.
func root(t *testing.T) schema {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(testdata.SparkApplicationCRD, crd); err != nil {
		t.Fatal(err)
	}
	if crd.Spec.Group != sparkapi.GroupVersion.Group || crd.Spec.Names.Kind != sparkapi.GroupVersionKind.Kind {
		t.Fatalf("the CRD is of %s %s, the types are of %s", crd.Spec.Group, crd.Spec.Names.Kind, sparkapi.GroupVersionKind)
	}
	for _, v := range crd.Spec.Versions {
		if v.Name == sparkapi.GroupVersion.Version {
			if v.Subresources == nil || v.Subresources.Status == nil {
				t.Fatal("the CRD has no status subresource")
			}
			return *v.Schema.OpenAPIV3Schema
		}
	}
	t.Fatalf("the CRD has no version %s", sparkapi.GroupVersion.Version)
	return schema{}
}

// TestEveryFieldIsInTheCRD walks the types beside the schema of the real CRD: each
// field exists there, with the type that its Go type is written as, and no field
// that the CRD requires is missing or can be left out by accident.
func TestEveryFieldIsInTheCRD(t *testing.T) {
	s := root(t)
	for _, part := range []struct {
		name string
		of   reflect.Type
	}{
		{"spec", reflect.TypeFor[sparkapi.SparkApplicationSpec]()},
		{"status", reflect.TypeFor[sparkapi.SparkApplicationStatus]()},
	} {
		for _, problem := range compare(part.name, part.of, s.Properties[part.name]) {
			t.Error(problem)
		}
	}
}

// TestComparisonFindsDifferences holds the comparison itself against types that
// are wrong.
func TestComparisonFindsDifferences(t *testing.T) {
	type wrong struct {
		Suspend *string                        `json:"suspend,omitempty"`
		Stop    *bool                          `json:"stop,omitempty"`
		Driver  struct{ Cores *string }        `json:"driver"`
		Labels  map[string]map[string]struct{} `json:"sparkConf"`
	}
	got := compare("spec", reflect.TypeFor[wrong](), root(t).Properties["spec"])
	for _, want := range []string{
		"spec.suspend: string here, boolean in the CRD",
		"spec.stop: not in the CRD",
		"spec.driver.Cores: not in the CRD",
		"spec.sparkConf[*]: object here, string in the CRD",
		"spec.executor: required by the CRD, absent here",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("comparison did not find %q, it found %q", want, got)
		}
	}
}

func TestTerminal(t *testing.T) {
	for state, want := range map[sparkapi.ApplicationState]bool{
		sparkapi.StateCompleted: true, sparkapi.StateFailed: true,
		sparkapi.StateNew: false, sparkapi.StateSuspended: false, sparkapi.StateSubmissionFailed: false, sparkapi.StateFailing: false,
	} {
		if got := sparkapi.Terminal(state); got != want {
			t.Errorf("Terminal(%q) = %t", state, got)
		}
	}
}

// compare answers with what is wrong about a Go type that is to be written as s.
func compare(path string, of reflect.Type, s schema) []string {
	if of.Kind() == reflect.Pointer {
		return compare(path, of.Elem(), s)
	}
	want := written(of)
	if s.XIntOrString {
		want = s.Type
	}
	if s.Type != want {
		return []string{fmt.Sprintf("%s: %s here, %s in the CRD", path, want, s.Type)}
	}
	if s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields {
		return nil
	}
	switch {
	case want == "array" && of.Elem().Kind() != reflect.Uint8:
		return compare(path+"[]", of.Elem(), *s.Items.Schema)
	case of.Kind() == reflect.Map:
		if s.AdditionalProperties == nil {
			return []string{path + ": a map here, not in the CRD"}
		}
		return compare(path+"[*]", of.Elem(), *s.AdditionalProperties.Schema)
	case of.Kind() == reflect.Struct && want == "object" && own(of):
		return compareStruct(path, of, s)
	}
	return nil
}

// own says whether a type is ours to hold against the CRD. Those of Kubernetes are
// of a newer version than the one that the CRD was made from.
func own(of reflect.Type) bool {
	return !strings.HasPrefix(of.PkgPath(), "k8s.io/")
}

func compareStruct(path string, of reflect.Type, s schema) []string {
	var problems []string
	found := map[string]bool{}
	for f := range fields(of) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		found[name] = true
		property, ok := s.Properties[name]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s.%s: not in the CRD", path, name))
			continue
		}
		if slices.Contains(s.Required, name) && f.Type.Kind() != reflect.Pointer && strings.Contains(options, "omitempty") {
			problems = append(problems, fmt.Sprintf("%s.%s: required by the CRD, left out when empty here", path, name))
		}
		problems = append(problems, compare(path+"."+name, f.Type, property)...)
	}
	for _, name := range s.Required {
		if !found[name] {
			problems = append(problems, fmt.Sprintf("%s.%s: required by the CRD, absent here", path, name))
		}
	}
	return problems
}

// fields yields the fields of a struct, those of inlined structs as its own.
func fields(of reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range of.NumField() {
			f := of.Field(i)
			if !f.Anonymous {
				if !yield(f) {
					return
				}
				continue
			}
			for inner := range fields(f.Type) {
				if !yield(inner) {
					return
				}
			}
		}
	}
}

// written is the JSON type that a Go type is marshalled as.
func written(of reflect.Type) string {
	switch of {
	case reflect.TypeFor[metav1.Time]():
		return "string"
	case reflect.TypeFor[corev1.PodTemplateSpec]():
		return "object"
	}
	switch of.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Slice:
		return "array"
	case reflect.Map, reflect.Struct:
		return "object"
	}
	return of.Kind().String()
}

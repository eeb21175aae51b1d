// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
	sparkapi "sparkpipeline.dev/operator/internal/sparkapi/testdata"
)

// applicationSchema is the schema of the real CRD, as the API server uses it.
type applicationSchema struct {
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
}

func sparkApplications(t *testing.T) applicationSchema {
	t.Helper()
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(sparkapi.SparkApplicationCRD, &crd); err != nil {
		t.Fatal(err)
	}
	for _, v := range crd.Spec.Versions {
		if v.Name != "v1beta2" {
			continue
		}
		properties := &apiextensions.JSONSchemaProps{}
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, properties, nil); err != nil {
			t.Fatal(err)
		}
		structural, err := structuralschema.NewStructural(properties)
		if err != nil {
			t.Fatal(err)
		}
		validator, _, err := validation.NewSchemaValidator(properties)
		if err != nil {
			t.Fatal(err)
		}
		return applicationSchema{structural, validator}
	}
	t.Fatal("the CRD has no version v1beta2")
	return applicationSchema{}
}

// problems are the unknown fields of an object, what the schema refuses, and the
// fields that the schema would set by default.
func (s applicationSchema) problems(o *unstructured.Unstructured) []string {
	content := o.DeepCopy().Object
	var out []string
	for _, path := range pruning.PruneWithOptions(content, s.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		out = append(out, "unknown field "+path)
	}
	for _, err := range validation.ValidateCustomResource(nil, content, s.validator) {
		out = append(out, err.Error())
	}
	return out
}

// Every SparkApplication is one that the API server would store as it is.
func TestApplicationsValidateAgainstTheRealCRD(t *testing.T) {
	schema := sparkApplications(t)
	for _, c := range cases(t) {
		for _, guard := range []bool{false, true} {
			c.Input.Defaults.Guard = guard
			r, err := desired.Application(scheme(t), c.Input)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			for _, problem := range schema.problems(r.Object) {
				t.Errorf("%s: %s", c.Name, problem)
			}
			defaulted := r.Object.DeepCopy()
			defaulting.Default(defaulted.Object, schema.structural)
			if diff := difference(r.Object.Object, defaulted.Object); diff != "" {
				t.Errorf("%s: the schema would add what is not rendered (-rendered +stored):\n%s", c.Name, diff)
			}
		}
	}
}

// The check above finds what is wrong.
func TestCheckAgainstTheCRDCanFail(t *testing.T) {
	schema := sparkApplications(t)
	for field, value := range map[string]any{"nodes": int64(3), "sparkVersion": int64(4), "type": "Cobol"} {
		r, err := desired.Application(scheme(t), caseNamed(t, "minimal"))
		if err != nil {
			t.Fatal(err)
		}
		if err := unstructured.SetNestedField(r.Object.Object, value, "spec", field); err != nil {
			t.Fatal(err)
		}
		if got := schema.problems(r.Object); len(got) != 1 {
			t.Errorf("spec.%s = %v: got %v", field, value, got)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	fielderrors "k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/config/crd"
)

// embedded are the types that come from Kubernetes with their own schema.
var embedded = []string{
	"spec.application.env[].valueFrom",
	"spec.scaling.behavior",
	"status.conditions[]",
}

// ownStatus is written by the operator alone, so no manifest can be refused for it.
const ownStatus = "status."

// constraint is one thing that the definition refuses: a path of the schema, and
// pattern, minimum, maximum, enum or the number of a rule.
type constraint struct{ path, kind string }

// constraints walks a schema. Each rule gets a message that is its constraint, so
// that a refusal tells which rule it was.
func constraints(path string, s *apiextensionsv1.JSONSchemaProps, all map[constraint]bool) {
	note := func(kind string, there bool) {
		if there {
			all[constraint{path, kind}] = true
		}
	}
	note("pattern", s.Pattern != "")
	note("minimum", s.Minimum != nil)
	note("maximum", s.Maximum != nil)
	note("enum", len(s.Enum) > 0)
	for i := range s.XValidations {
		kind := fmt.Sprintf("rule %d", i)
		note(kind, true)
		s.XValidations[i].Message = "hit " + path + " " + kind
		s.XValidations[i].MessageExpression = ""
	}
	for name, property := range s.Properties {
		constraints(strings.TrimPrefix(path+"."+name, "."), &property, all)
		s.Properties[name] = property
	}
	if s.Items != nil && s.Items.Schema != nil {
		constraints(path+"[]", s.Items.Schema, all)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		constraints(path+"{}", s.AdditionalProperties.Schema, all)
	}
}

// marked is the definition with marked rules, and what refuses by it.
type marked struct {
	all        map[constraint]bool
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

func mark() *marked {
	GinkgoHelper()
	schema := definitionSchema()
	m := &marked{all: map[constraint]bool{}}
	constraints("", schema, m.all)
	m.structural, m.openAPI = compiled(schema)
	m.rules = cel.NewValidator(m.structural, true, celconfig.PerCallLimit)
	return m
}

// definitionSchema is the schema of the only version.
func definitionSchema() *apiextensionsv1.JSONSchemaProps {
	GinkgoHelper()
	var definition apiextensionsv1.CustomResourceDefinition
	Expect(yaml.UnmarshalStrict(crd.SparkPipelines, &definition)).To(Succeed())
	Expect(definition.Spec.Versions).To(HaveLen(1))
	return definition.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func compiled(schema *apiextensionsv1.JSONSchemaProps) (*structuralschema.Structural, validation.SchemaValidator) {
	GinkgoHelper()
	var internal apiextensions.JSONSchemaProps
	Expect(apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(schema, &internal, nil)).To(Succeed())
	structural, err := structuralschema.NewStructural(&internal)
	Expect(err).NotTo(HaveOccurred())
	openAPI, _, err := validation.NewSchemaValidator(&internal)
	Expect(err).NotTo(HaveOccurred())
	return structural, openAPI
}

// hits adds to hit what refuses an object, or the change from old to it.
func (m *marked) hits(object, old map[string]any, hit map[constraint]bool) {
	defaulting.Default(object, m.structural)
	if old != nil {
		defaulting.Default(old, m.structural)
	}
	refusals := validation.ValidateCustomResource(nil, object, m.openAPI)
	for _, refusal := range refusals {
		hit[constraint{m.schemaPath(refusal.Field), schemaKind(refusal)}] = true
	}
	if len(refusals) > 0 {
		return
	}
	var before any
	if old != nil {
		before = old
	}
	refusals, _ = m.rules.Validate(context.Background(), nil, m.structural, object, before, celconfig.RuntimeCELCostBudget)
	for _, refusal := range refusals {
		if mark, found := strings.CutPrefix(refusal.Detail, "hit "); found {
			i := strings.LastIndex(mark, " rule ")
			hit[constraint{mark[:i], mark[i+1:]}] = true
		}
	}
}

func schemaKind(refusal *fielderrors.Error) string {
	for part, kind := range map[string]string{
		"should match":             "pattern",
		"greater than or equal to": "minimum",
		"less than or equal to":    "maximum",
	} {
		if strings.Contains(refusal.Detail, part) {
			return kind
		}
	}
	if refusal.Type == fielderrors.ErrorTypeNotSupported {
		return "enum"
	}
	return string(refusal.Type)
}

// schemaPath is the path of a field without its indices and keys of maps.
func (m *marked) schemaPath(path string) string {
	var out []string
	s := m.structural
	for rest := path; rest != ""; {
		if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
			out[len(out)-1] += "{}"
			break
		}
		var segment string
		segment, rest, _ = strings.Cut(rest, ".")
		name, _, inList := strings.Cut(segment, "[")
		next, known := s.Properties[name]
		Expect(known).To(BeTrue(), "%s is not in the schema", path)
		s = &next
		if inList {
			name += "[]"
			s = s.Items
		}
		out = append(out, name)
	}
	return strings.Join(out, ".")
}

func uncovered(all, hit map[constraint]bool) []string {
	var list []string
	for c := range all {
		skip := strings.HasPrefix(c.path, ownStatus) || slices.ContainsFunc(embedded, func(prefix string) bool { return strings.HasPrefix(c.path, prefix) })
		if !skip && !hit[c] {
			list = append(list, c.path+" "+c.kind)
		}
	}
	slices.Sort(list)
	return list
}

var _ = Describe("The examples", func() {
	It("have a refused one for every pattern, bound, choice and rule of the definition", func() {
		m := mark()
		hit := map[constraint]bool{}
		for _, f := range fields {
			for _, value := range f.refuse {
				object := pipeline("everything.yaml", f.with)
				set(object.Object, f.path, value)
				m.hits(object.Object, nil, hit)
			}
		}
		for _, r := range rules {
			m.hits(pipeline("minimal.yaml", r.refuse).Object, nil, hit)
		}
		for _, r := range changes {
			m.hits(pipeline("minimal.yaml", r.from, r.refuse).Object, pipeline("minimal.yaml", r.from).Object, hit)
		}
		for _, s := range settings {
			m.hits(withSettings(s.name).Object, nil, hit)
		}
		Expect(len(m.all)).To(BeNumerically(">", 200), "the walk found the definition's constraints")
		Expect(uncovered(m.all, hit)).To(BeEmpty(), "without a refused example")
	})

	It("would be missed where one is missing", func() {
		m := mark()
		Expect(uncovered(m.all, maps.Clone(m.all))).To(BeEmpty())
		without := maps.Clone(m.all)
		delete(without, constraint{"spec.driver.cores", "maximum"})
		delete(without, constraint{"spec.checkpoint", "rule 3"})
		Expect(uncovered(m.all, without)).To(Equal([]string{"spec.checkpoint rule 3", "spec.driver.cores maximum"}))
	})
})

// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/config/crd"
)

// crdSchema is the schema of one version of a kind, ready for use.
type crdSchema struct {
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// pipelineSchema is built once: compiling the rules takes longer than all else.
var pipelineSchema = sync.OnceValues(func() (*crdSchema, error) {
	return newSchema(crd.SparkPipelines, v1alpha1.GroupVersion.Version)
})

func newSchema(definition []byte, version string) (*crdSchema, error) {
	properties, err := versionSchema(definition, version)
	if err != nil {
		return nil, fmt.Errorf("reading the CustomResourceDefinition: %w", err)
	}
	structural, err := structuralschema.NewStructural(properties)
	if err != nil {
		return nil, fmt.Errorf("the schema of version %s is not structural: %w", version, err)
	}
	openAPI, _, err := validation.NewSchemaValidator(properties)
	if err != nil {
		return nil, fmt.Errorf("compiling the schema of version %s: %w", version, err)
	}
	return &crdSchema{
		structural: structural,
		openAPI:    openAPI,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

func versionSchema(definition []byte, version string) (*apiextensions.JSONSchemaProps, error) {
	var object apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(definition, &object); err != nil {
		return nil, err
	}
	for _, v := range object.Spec.Versions {
		if v.Name != version || v.Schema == nil {
			continue
		}
		out := new(apiextensions.JSONSchemaProps)
		err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, out, nil)
		return out, err
	}
	return nil, fmt.Errorf("it has no schema for version %s", version)
}

// complete sets defaults and removes unknown fields in place, in the API
// server's order, and returns the paths of the unknown fields.
func (s *crdSchema) complete(object map[string]any) []string {
	defaulting.Default(object, s.structural)
	unknown := pruning.PruneWithOptions(object, s.structural, true,
		structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	return unknown
}

// validate judges a complete object; old is nil for a creation.
func (s *crdSchema) validate(object, old map[string]any) error {
	var list field.ErrorList
	var ratchet []cel.Option
	if old == nil {
		list = validation.ValidateCustomResource(nil, object, s.openAPI)
		list = append(list, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	} else {
		correlated := common.NewCorrelatedObject(object, old, &model.Structural{Structural: s.structural})
		ratchet = append(ratchet, cel.WithRatcheting(correlated))
		list = validation.ValidateCustomResourceUpdate(nil, object, old, s.openAPI, validation.WithRatcheting(correlated))
		if len(listtype.ValidateListSetsAndMaps(nil, s.structural, old)) == 0 {
			list = append(list, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
		}
	}
	if len(list) == 0 {
		// An untyped nil tells the rules that there is no old object.
		var previous any
		if old != nil {
			previous = old
		}
		list, _ = s.rules.Validate(context.Background(), nil, s.structural, object, previous, celconfig.RuntimeCELCostBudget, ratchet...)
	}
	return asError(list)
}

// asError puts one line per refusal, as kubectl prints them.
func asError(list field.ErrorList) error {
	if len(list) == 0 {
		return nil
	}
	lines := make([]string, 0, len(list))
	for _, e := range list {
		lines = append(lines, e.Error())
	}
	return errors.New(strings.Join(lines, "\n"))
}

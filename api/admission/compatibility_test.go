// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// compile returns what an API server has against the rules of a schema, when new
// expressions may use what the given version of Kubernetes brought. An API server
// admits what the version before its own had.
func compile(s *structuralschema.Structural, env *environment.EnvSet) []string {
	GinkgoHelper()
	var problems []string
	if len(s.XValidations) > 0 {
		results, err := cel.Compile(s, model.SchemaDeclType(s, s.XEmbeddedResource), celconfig.PerCallLimit, env, cel.NewExpressionsEnvLoader())
		Expect(err).NotTo(HaveOccurred())
		for i, r := range results {
			if r.Error != nil {
				problems = append(problems, s.XValidations[i].Rule+": "+r.Error.Error())
			}
			if r.MessageExpressionError != nil {
				problems = append(problems, s.XValidations[i].MessageExpression+": "+r.MessageExpressionError.Error())
			}
		}
	}
	for _, property := range s.Properties {
		problems = append(problems, compile(&property, env)...)
	}
	if s.Items != nil {
		problems = append(problems, compile(s.Items, env)...)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		problems = append(problems, compile(s.AdditionalProperties.Structural, env)...)
	}
	return problems
}

var _ = Describe("The oldest Kubernetes", func() {
	It("compiles every rule from 1.31 on", func() {
		structural, _ := compiled(definitionSchema())
		structural.XEmbeddedResource = true // the root has apiVersion, kind and metadata
		Expect(compile(structural, environment.MustBaseEnvSet(version.MajorMinor(1, 30)))).To(BeEmpty())
	})

	It("does not compile them on 1.30, so the bound is exact", func() {
		structural, _ := compiled(definitionSchema())
		Expect(compile(structural, environment.MustBaseEnvSet(version.MajorMinor(1, 29)))).NotTo(BeEmpty())
	})
})

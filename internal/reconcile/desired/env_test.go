// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"errors"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// refusedAnywhere renders everything and wants the spec to be refused because of a field.
func refusedAnywhere(t *testing.T, in desired.Input, field string) {
	t.Helper()
	_, err := desired.Render(scheme(t), in)
	if err == nil {
		_, err = desired.Application(scheme(t), in)
	}
	var invalid *desired.InvalidError
	if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Field, field) || invalid.Found == "" || invalid.Allowed == "" {
		t.Errorf("got %v, expected a refusal of %s", err, field)
	}
}

// What the API server would refuse in the driver's pod is refused before it gets
// there.
func TestVariablesThatNoPodCanHave(t *testing.T) {
	secret := func(name, key string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}
	}
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	size := func(of, divisor string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: of, Divisor: resource.MustParse(divisor)}}
	}
	both := secret("orders-db", "password")
	both.ConfigMapKeyRef = &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "orders"}, Key: "a"}
	for name, c := range map[string]struct {
		env   corev1.EnvVar
		field string // empty: accepted
	}{
		"a value":                     {corev1.EnvVar{Value: "$(POD) {{a}}"}, ""},
		"a Secret":                    {corev1.EnvVar{ValueFrom: secret("orders-db", "pass.word")}, ""},
		"a field":                     {corev1.EnvVar{ValueFrom: field("status.podIP")}, ""},
		"a label":                     {corev1.EnvVar{ValueFrom: field("metadata.labels['example.com/team']")}, ""},
		"a resource":                  {corev1.EnvVar{ValueFrom: size("limits.memory", "1Mi")}, ""},
		"a resource, whole":           {corev1.EnvVar{ValueFrom: size("requests.cpu", "0")}, ""},
		"a value and a source":        {corev1.EnvVar{Value: "x", ValueFrom: secret("orders-db", "password")}, "spec.application.env[0]"},
		"no source":                   {corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{}}, "spec.application.env[0].valueFrom"},
		"two sources":                 {corev1.EnvVar{ValueFrom: both}, "spec.application.env[0].valueFrom"},
		"a Secret without a name":     {corev1.EnvVar{ValueFrom: secret("", "password")}, "spec.application.env[0].valueFrom.secretKeyRef.name"},
		"a Secret elsewhere":          {corev1.EnvVar{ValueFrom: secret("../../../etc", "password")}, "spec.application.env"},
		"a key that is a path":        {corev1.EnvVar{ValueFrom: secret("orders-db", "a/b")}, "spec.application.env[0].valueFrom.secretKeyRef.key"},
		"a field that there is not":   {corev1.EnvVar{ValueFrom: field("spec.nowhere")}, "spec.application.env[0].valueFrom.fieldRef.fieldPath"},
		"labels as a whole":           {corev1.EnvVar{ValueFrom: field("metadata.labels")}, "spec.application.env[0].valueFrom.fieldRef.fieldPath"},
		"a resource that there isn't": {corev1.EnvVar{ValueFrom: size("limits.nowhere", "1")}, "spec.application.env[0].valueFrom.resourceFieldRef.resource"},
		"a unit of another resource":  {corev1.EnvVar{ValueFrom: size("limits.cpu", "1Mi")}, "spec.application.env[0].valueFrom.resourceFieldRef.divisor"},
		"a file":                      {corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{Path: "a"}}}, "spec.application.env[0].valueFrom.fileKeyRef"},
	} {
		t.Run(name, func(t *testing.T) {
			in := caseNamed(t, "full")
			c.env.Name = "VALUE"
			in.Pipeline.Spec.Application.Env = []corev1.EnvVar{c.env}
			if c.field != "" {
				refusedAnywhere(t, in, c.field)
				return
			}
			if _, err := desired.Render(scheme(t), in); err != nil {
				t.Error(err)
			}
			if _, err := desired.Application(scheme(t), in); err != nil {
				t.Error(err)
			}
		})
	}
}

// The names of Secrets and ConfigMaps become directories of the watch. None leads
// out of them.
func TestSourcesStayInTheirDirectory(t *testing.T) {
	in := caseNamed(t, "full")
	in.Pipeline.Spec.Executor.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec":{"volumes":[{"name":"x","configMap":{"name":"../../../usr/bin"}}]}}`)}
	refusedAnywhere(t, in, "spec.executor.podTemplate")
}

// What the API server would refuse in the autoscaler is refused also while there is
// none, before the first driver.
func TestBehaviorThatNoAutoscalerTakes(t *testing.T) {
	policy := func(kind autoscalingv2.HPAScalingPolicyType, value, period int32) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{{Type: kind, Value: value, PeriodSeconds: period}}}
	}
	odd := autoscalingv2.ScalingPolicySelect("Perhaps")
	less := resource.MustParse("-0.1")
	for name, c := range map[string]struct {
		rules *autoscalingv2.HPAScalingRules
		field string
	}{
		"the longest period": {policy(autoscalingv2.PercentScalingPolicy, 10, 1800), ""},
		"a longer period":    {policy(autoscalingv2.PercentScalingPolicy, 10, 1801), ".policies[0].periodSeconds"},
		"no period":          {policy(autoscalingv2.PodsScalingPolicy, 1, 0), ".policies[0].periodSeconds"},
		"no value":           {policy(autoscalingv2.PodsScalingPolicy, 0, 60), ".policies[0].value"},
		"another type":       {policy("Sometimes", 1, 60), ".policies[0].type"},
		"no policies":        {&autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{}}, ""}, // The API server has defaults.
		"another policy":     {&autoscalingv2.HPAScalingRules{SelectPolicy: &odd}, ".selectPolicy"},
		"a longer window":    {&autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(3601))}, ".stabilizationWindowSeconds"},
		"a negative window":  {&autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(-1))}, ".stabilizationWindowSeconds"},
		"below zero":         {&autoscalingv2.HPAScalingRules{Tolerance: &less}, ".tolerance"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, up := range []bool{true, false} {
				in := caseNamed(t, "minimal")
				b, field := &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: c.rules}, "spec.scaling.behavior.scaleDown"
				if up {
					b, field = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: c.rules}, "spec.scaling.behavior.scaleUp"
				}
				in.Pipeline.Spec.Scaling.Behavior = b
				if c.field != "" {
					refusedAnywhere(t, in, field+c.field)
				} else if _, err := desired.Render(scheme(t), in); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Names that the API server would refuse in a child or in a pod are refused before.
func TestNamesThatNoObjectTakes(t *testing.T) {
	long := strings.Repeat("a", 64)
	template := func(text string) func(*v1alpha1.SparkPipelineSpec) {
		return func(s *v1alpha1.SparkPipelineSpec) {
			s.Driver.PodTemplate = &runtime.RawExtension{Raw: []byte(text)}
		}
	}
	for field, change := range map[string]func(*v1alpha1.SparkPipelineSpec){
		"spec.monitoring.labels": func(s *v1alpha1.SparkPipelineSpec) {
			s.Monitoring.Labels = map[string]v1alpha1.LabelValue{"a/" + long: "b"}
		},
		"spec.objectStore.credentials.workloadIdentity.annotations": func(s *v1alpha1.SparkPipelineSpec) {
			s.ObjectStore.Credentials.WorkloadIdentity = &v1alpha1.WorkloadIdentity{Annotations: map[string]v1alpha1.AnnotationValue{"a..b/c": "d"}}
		},
		"spec.driver.podTemplate.metadata.labels":      template(`{"metadata":{"labels":{"team":"not a label!"}}}`),
		"spec.driver.podTemplate.metadata.annotations": template(`{"metadata":{"annotations":{"not a name!":"a"}}}`),
		"spec.driver.podTemplate.spec.nodeSelector":    template(`{"spec":{"nodeSelector":{"not a label!":"a"}}}`),
	} {
		in := caseNamed(t, "full")
		change(&in.Pipeline.Spec)
		refusedAnywhere(t, in, field)
	}
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// checkEnv refuses what the kubelet would skip or the API server would refuse in
// the driver's pod, when it is too late to tell, and names that the operator sets
// itself.
func checkEnv(p *v1alpha1.SparkPipeline) error {
	ours := map[string]bool{"JDK_JAVA_OPTIONS": p.Spec.ObjectStore.CASecret != nil}
	for _, e := range objectStoreEnv(p) {
		ours[e.Name] = true
	}
	for i, e := range p.Spec.Application.Env {
		field := fmt.Sprintf("spec.application.env[%d]", i)
		if problems := validation.IsEnvVarName(e.Name); len(problems) > 0 {
			return &InvalidError{Field: field + ".name", Found: strconv.Quote(e.Name), Allowed: strings.Join(problems, "; ")}
		}
		if ours[e.Name] {
			return &InvalidError{Field: field + ".name", Found: strconv.Quote(e.Name), Allowed: "a name that the operator does not set from spec.objectStore"}
		}
		if e.ValueFrom == nil {
			continue
		}
		if e.Value != "" {
			return &InvalidError{Field: field, Found: "value " + strconv.Quote(e.Value) + " beside valueFrom", Allowed: "one of value and valueFrom"}
		}
		if err := checkSource(field+".valueFrom", e.ValueFrom); err != nil {
			return err
		}
	}
	return nil
}

// checkSource judges where a variable comes from as the API server judges it in a
// pod.
func checkSource(field string, s *corev1.EnvVarSource) error {
	var kinds []string
	var err error
	note := func(kind string, check error) {
		kinds = append(kinds, kind)
		if err == nil {
			err = check
		}
	}
	if r := s.SecretKeyRef; r != nil {
		note("secretKeyRef", checkKeyRef(field+".secretKeyRef", r.Name, r.Key))
	}
	if r := s.ConfigMapKeyRef; r != nil {
		note("configMapKeyRef", checkKeyRef(field+".configMapKeyRef", r.Name, r.Key))
	}
	if r := s.FieldRef; r != nil {
		note("fieldRef", checkFieldRef(field+".fieldRef", r))
	}
	if r := s.ResourceFieldRef; r != nil {
		note("resourceFieldRef", checkResourceRef(field+".resourceFieldRef", r))
	}
	if s.FileKeyRef != nil {
		note("fileKeyRef", &InvalidError{Field: field + ".fileKeyRef", Found: "a file of a volume", Allowed: "secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef: not every Kubernetes that is supported knows files"})
	}
	if len(kinds) != 1 {
		return &InvalidError{Field: field, Found: fmt.Sprintf("%d sources %v", len(kinds), kinds), Allowed: "exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef"}
	}
	return err
}

func checkKeyRef(field, name, key string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return &InvalidError{Field: field + ".name", Found: strconv.Quote(name), Allowed: strings.Join(problems, "; ")}
	}
	if problems := validation.IsConfigMapKey(key); len(problems) > 0 {
		return &InvalidError{Field: field + ".key", Found: strconv.Quote(key), Allowed: strings.Join(problems, "; ")}
	}
	return nil
}

// fieldPaths are what a variable can show of its pod.
var fieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}

// mapPath is the path of one label or annotation.
var mapPath = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

func checkFieldRef(field string, r *corev1.ObjectFieldSelector) error {
	if r.APIVersion != "" && r.APIVersion != "v1" {
		return &InvalidError{Field: field + ".apiVersion", Found: strconv.Quote(r.APIVersion), Allowed: "v1"}
	}
	if slices.Contains(fieldPaths, r.FieldPath) {
		return nil
	}
	if m := mapPath.FindStringSubmatch(r.FieldPath); m != nil && len(validation.IsQualifiedName(m[2])) == 0 {
		return nil
	}
	return &InvalidError{Field: field + ".fieldPath", Found: strconv.Quote(r.FieldPath),
		Allowed: strings.Join(fieldPaths, ", ") + ", metadata.labels['<name>'] and metadata.annotations['<name>']"}
}

// resourcePaths are what a variable can show of its container's resources.
var resourcePaths = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}

// divisors are the units by which resources are shown, by the last part of their path.
var divisors = map[string][]string{"cpu": {"1m", "1"}, "memory": {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}}

func checkResourceRef(field string, r *corev1.ResourceFieldSelector) error {
	if !slices.Contains(resourcePaths, r.Resource) {
		return &InvalidError{Field: field + ".resource", Found: strconv.Quote(r.Resource), Allowed: strings.Join(resourcePaths, ", ")}
	}
	units := divisors["memory"]
	if strings.HasSuffix(r.Resource, ".cpu") {
		units = divisors["cpu"]
	}
	if r.Divisor.IsZero() || slices.Contains(units, r.Divisor.String()) {
		return nil
	}
	return &InvalidError{Field: field + ".divisor", Found: strconv.Quote(r.Divisor.String()), Allowed: strings.Join(units, ", ")}
}

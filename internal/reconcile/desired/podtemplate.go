// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// underlay puts the user's pod template under ours: what both say is ours, what
// only the user says stays, as a strategic merge of Kubernetes does it. The result
// is held against the restricted profile.
//
// The error is an *InvalidError that names the field.
func underlay(in Input, field string, user *runtime.RawExtension, ours *corev1.PodTemplateSpec, container string) (*corev1.PodTemplateSpec, error) {
	if user == nil || len(user.Raw) == 0 {
		return ours, nil
	}
	base := &corev1.PodTemplateSpec{}
	if err := yaml.UnmarshalStrict(user.Raw, base); err != nil {
		return nil, &InvalidError{Field: field, Found: err.Error(), Allowed: "a PodTemplateSpec of Kubernetes"}
	}
	if err := reserved(field, base, container); err != nil {
		return nil, err
	}
	if err := ownVolumes(in, field, base, ours); err != nil {
		return nil, err
	}
	yield(base, ours)
	merged, err := overlay(base, ours)
	if err != nil {
		return nil, fmt.Errorf("merge %s: %w", field, err)
	}
	// The merge replaces this list, and both sides have a say in where a pod may go.
	for _, t := range base.Spec.Tolerations {
		if !slices.ContainsFunc(merged.Spec.Tolerations, func(o corev1.Toleration) bool { return reflect.DeepEqual(o, t) }) {
			merged.Spec.Tolerations = append(merged.Spec.Tolerations, t)
		}
	}
	return merged, restricted(field, merged)
}

// selectedBy are parts of labels that others select pods by. A pod with the
// instance label of an application of Argo CD would be pruned as one of its own.
var selectedBy = []string{"sparkpipeline.dev/", "sparkoperator.k8s.io/", "argoproj.io/", "fluxcd.io/", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"}

// ownInitContainers are the names of the operator's init containers. An argument
// that a user adds to the guard could silence it.
var ownInitContainers = []string{GuardContainer, initTrust, initJMX}

// reserved refuses what no user may say, because it would lend the pod an
// identity or a place that is not the pipeline's.
func reserved(field string, t *corev1.PodTemplateSpec, container string) error {
	const ours = "nothing: the operator sets it"
	for _, c := range []struct {
		name, found, allowed string
	}{
		{"spec.serviceAccountName", t.Spec.ServiceAccountName, ours},
		{"spec.serviceAccount", t.Spec.DeprecatedServiceAccount, ours},
		{"spec.nodeName", t.Spec.NodeName, "nothing: use nodeSelector or affinity"},
		{"spec.restartPolicy", string(t.Spec.RestartPolicy), ours},
		{"spec.priorityClassName", t.Spec.PriorityClassName, ours},
		{"spec.hostname", t.Spec.Hostname, ours},
		{"spec.subdomain", t.Spec.Subdomain, ours},
		{"metadata.name", t.Name, ours},
		{"metadata.namespace", t.Namespace, ours},
	} {
		if c.found != "" {
			return &InvalidError{Field: field + "." + c.name, Found: fmt.Sprintf("%q", c.found), Allowed: c.allowed}
		}
	}
	for k := range t.Labels {
		if strings.HasPrefix(k, "spark-") || slices.ContainsFunc(selectedBy, func(s string) bool { return strings.Contains(k, s) }) {
			return &InvalidError{Field: field + ".metadata.labels", Found: fmt.Sprintf("%q", k), Allowed: "labels that neither Spark, an operator nor a GitOps tool selects by"}
		}
	}
	if err := checkNames(field+".metadata.labels", metav1validation.ValidateLabels(t.Labels, nil)); err != nil {
		return err
	}
	if err := checkNames(field+".metadata.annotations", apivalidation.ValidateAnnotations(t.Annotations, nil)); err != nil {
		return err
	}
	if err := checkNames(field+".spec.nodeSelector", metav1validation.ValidateLabels(t.Spec.NodeSelector, nil)); err != nil {
		return err
	}
	if len(t.Spec.EphemeralContainers) > 0 {
		return &InvalidError{Field: field + ".spec.ephemeralContainers", Found: fmt.Sprintf("%q", t.Spec.EphemeralContainers[0].Name),
			Allowed: "nothing: no pod can be made with one, kubectl debug adds them"}
	}
	for i, c := range t.Spec.InitContainers {
		if slices.Contains(ownInitContainers, c.Name) {
			return &InvalidError{Field: fmt.Sprintf("%s.spec.initContainers[%d].name", field, i), Found: fmt.Sprintf("%q", c.Name), Allowed: "a name that is not one of the operator's init containers"}
		}
	}
	if len(t.Spec.Containers) > 0 && t.Spec.Containers[0].Name != container {
		return &InvalidError{Field: field + ".spec.containers[0].name", Found: fmt.Sprintf("%q", t.Spec.Containers[0].Name),
			Allowed: fmt.Sprintf("%q first, sidecars after it", container)}
	}
	return nil
}

// yield removes from the user's template what ours says too and of which only one
// kind may be there: the merge would leave a probe with two ways to look, or a
// variable with a value and a source.
func yield(base, ours *corev1.PodTemplateSpec) {
	if len(base.Spec.Containers) == 0 {
		return
	}
	theirs, c := &base.Spec.Containers[0], ours.Spec.Containers[0]
	for _, probe := range []struct{ theirs, ours **corev1.Probe }{
		{&theirs.StartupProbe, &c.StartupProbe}, {&theirs.LivenessProbe, &c.LivenessProbe}, {&theirs.ReadinessProbe, &c.ReadinessProbe},
	} {
		if *probe.ours != nil {
			*probe.theirs = nil
		}
	}
	theirs.Env = slices.DeleteFunc(theirs.Env, func(e corev1.EnvVar) bool {
		return slices.ContainsFunc(c.Env, func(o corev1.EnvVar) bool { return o.Name == e.Name })
	})
	theirs.VolumeMounts = slices.DeleteFunc(theirs.VolumeMounts, func(m corev1.VolumeMount) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath })
	})
}

// overlay merges by Kubernetes' own rules, ours over theirs.
func overlay(base, ours *corev1.PodTemplateSpec) (*corev1.PodTemplateSpec, error) {
	baseText, err := json.Marshal(base)
	if err != nil {
		return nil, err
	}
	ourText, err := json.Marshal(ours)
	if err != nil {
		return nil, err
	}
	text, err := strategicpatch.StrategicMergePatch(baseText, ourText, &corev1.PodTemplateSpec{})
	if err != nil {
		return nil, err
	}
	merged := &corev1.PodTemplateSpec{}
	return merged, json.Unmarshal(text, merged)
}

// restricted asks the library that the API server itself judges pods with.
func restricted(field string, t *corev1.PodTemplateSpec) error {
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	if err != nil {
		return fmt.Errorf("make the pod security evaluator: %w", err)
	}
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	result := psapolicy.AggregateCheckResults(evaluator.EvaluatePod(level, &t.ObjectMeta, &t.Spec))
	if result.Allowed {
		return nil
	}
	return &InvalidError{Field: field, Found: result.ForbiddenDetail(), Allowed: "what the pod security profile restricted allows"}
}

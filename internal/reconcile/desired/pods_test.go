// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// podTemplates are the templates of pods in an object, those of Spark too.
func podTemplates(t *testing.T, o *unstructured.Unstructured) []corev1.PodTemplateSpec {
	t.Helper()
	var out []corev1.PodTemplateSpec
	for _, path := range [][]string{
		{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}, {"spec", "driver", "template"}, {"spec", "executor", "template"},
	} {
		content, found, err := unstructured.NestedMap(o.Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		if !found || o.GetKind() == "Schedule" {
			continue
		}
		var template corev1.PodTemplateSpec
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, &template, true); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		out = append(out, template)
	}
	return out
}

func containersOf(spec corev1.PodSpec) []corev1.Container {
	return slices.Concat(spec.InitContainers, spec.Containers)
}

// isSpark says whether Spark itself gives a container its image and resources.
func isSpark(c corev1.Container) bool { return strings.HasPrefix(c.Name, "spark-kubernetes-") }

// Every pod is one that the admission of the profile restricted lets in, by the
// API server's own judgement, and says by itself what the profile only asks for.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	for _, o := range everything(t) {
		for _, template := range podTemplates(t, o.Object) {
			result := psapolicy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s", o.name, result.ForbiddenDetail())
			}
			security := template.Spec.SecurityContext
			if *security.RunAsUser != 185 || *security.RunAsGroup != 185 || *security.FSGroup != 185 || !*security.RunAsNonRoot {
				t.Errorf("%s: %+v", o.name, security)
			}
			for _, c := range containersOf(template.Spec) {
				if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
					!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
					t.Errorf("%s: %s: %+v", o.name, c.Name, s)
				}
			}
		}
	}
}

// A pod that says nothing of its resources is refused under a quota, and is the
// first to be evicted without one. Spark says them for its own containers.
func TestPodsHaveResources(t *testing.T) {
	for _, o := range everything(t) {
		for _, template := range podTemplates(t, o.Object) {
			for _, c := range containersOf(template.Spec) {
				r := c.Resources
				switch {
				case isSpark(c):
					if len(r.Requests)+len(r.Limits) > 0 {
						t.Errorf("%s: %s has resources that Spark sets: %+v", o.name, c.Name, r)
					}
				case r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || !r.Requests.Memory().Equal(*r.Limits.Memory()):
					t.Errorf("%s: %s: %+v; requests of CPU and memory and a limit of that memory are expected", o.name, c.Name, r)
				}
				if (c.Image == "") != isSpark(c) {
					t.Errorf("%s: %s has the image %q", o.name, c.Name, c.Image)
				}
			}
		}
	}
}

// Only who talks to the API server gets a token, and no account mounts one by
// itself.
func TestTokens(t *testing.T) {
	token := map[string]bool{"driver": true, "executor": false, "history-server": false, "watch": false, "check": false, "backup": false, "archive": false, "snapshot": true, "drill": false}
	seen := map[string]bool{}
	for _, o := range everything(t) {
		if o.Object.GetKind() == "ServiceAccount" && o.Object.Object["automountServiceAccountToken"] != false {
			t.Errorf("%s mounts its token by itself", o.name)
		}
		for _, template := range podTemplates(t, o.Object) {
			who := strings.TrimPrefix(template.Spec.Containers[0].Name, "spark-kubernetes-")
			want, known := token[who]
			if got := template.Spec.AutomountServiceAccountToken; !known || got == nil || *got != want {
				t.Errorf("%s: %s: the token is mounted: %v", o.name, who, got)
			}
			seen[who] = true
		}
	}
	if len(seen) != len(token) {
		t.Errorf("only %v were looked at", seen)
	}
}

// What a pod mounts or runs as is a child of the same rendering, or named in the
// spec; and what the application needs comes before it starts.
func TestReferencesResolve(t *testing.T) {
	for _, c := range cases(t) {
		wave := map[string]int{}
		all := rendered(t, c.Name, c.Input)
		for _, o := range all {
			wave[o.Object.GetKind()+" "+o.Object.GetName()] = o.Wave
		}
		for _, name := range fromSpec(c.Input) {
			wave[name] = 0
		}
		if w, ok := wave["Certificate "+c.Input.Pipeline.Name+"-tls"]; ok {
			wave["Secret "+c.Input.Pipeline.Name+"-tls"] = w
		}
		for _, o := range all {
			for _, name := range references(t, o.Object) {
				w, ok := wave[name]
				if !ok {
					t.Errorf("%s: nothing makes the %s", o.name, name)
				}
				if o.Child.Name == "application" && w > desired.LastWaveBeforeStart {
					t.Errorf("%s: the %s comes in wave %d, after the start", o.name, name, w)
				}
			}
		}
	}
}

// fromSpec are the objects that a user brings.
func fromSpec(in desired.Input) []string {
	o := in.Pipeline.Spec.ObjectStore
	out := []string{"ConfigMap orders-models", "Secret " + o.Credentials.SecretName}
	if o.CASecret != nil {
		out = append(out, "Secret "+o.CASecret.Name)
	}
	if k := in.Pipeline.Spec.Sources.Kafka; k != nil {
		out = append(out, "Secret "+k.SASLSecret.Name, "Secret "+k.TLS.CASecret.Name, "Secret "+k.TLS.ClientSecret.Name)
	}
	for _, e := range in.Pipeline.Spec.Application.Env {
		if e.ValueFrom != nil {
			out = append(out, "Secret "+e.ValueFrom.SecretKeyRef.Name)
		}
	}
	return out
}

// references are the objects that the pods of an object need.
func references(t *testing.T, o *unstructured.Unstructured) []string {
	t.Helper()
	var out []string
	for _, template := range podTemplates(t, o) {
		if name := template.Spec.ServiceAccountName; name != "" {
			out = append(out, "ServiceAccount "+name)
		}
		for _, v := range template.Spec.Volumes {
			switch {
			case v.PersistentVolumeClaim != nil:
				out = append(out, "PersistentVolumeClaim "+v.PersistentVolumeClaim.ClaimName)
			case v.ConfigMap != nil:
				out = append(out, "ConfigMap "+v.ConfigMap.Name)
			case v.Secret != nil:
				out = append(out, "Secret "+v.Secret.SecretName)
			}
		}
		for _, c := range containersOf(template.Spec) {
			for _, m := range c.VolumeMounts {
				// Volumes of claims are Spark's, by the names in its settings.
				_, spark, _ := unstructured.NestedString(o.Object, "spec", "sparkConf", "spark.kubernetes.driver.volumes.persistentVolumeClaim."+m.Name+".mount.path")
				if !volumes(template.Spec)[m.Name] && !spark {
					t.Errorf("%s %s: %s mounts the volume %s, which there is not", o.GetKind(), o.GetName(), c.Name, m.Name)
				}
			}
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					out = append(out, "Secret "+e.ValueFrom.SecretKeyRef.Name)
				}
			}
		}
	}
	for _, role := range []string{"driver", "executor"} {
		if name, ok, _ := unstructured.NestedString(o.Object, "spec", role, "serviceAccount"); ok {
			out = append(out, "ServiceAccount "+name)
		}
	}
	conf, _, _ := unstructured.NestedStringMap(o.Object, "spec", "sparkConf")
	for name, value := range conf {
		switch {
		case strings.HasSuffix(name, ".options.claimName"):
			out = append(out, "PersistentVolumeClaim "+value)
		case strings.Contains(name, ".secretKeyRef."):
			secret, key, _ := strings.Cut(value, ":")
			if !slices.Contains(desired.SecretKeys(), key) {
				t.Errorf("%s: the key %q is not in the Secret", name, key)
			}
			out = append(out, "Secret "+secret)
		case strings.Contains(name, ".secrets."):
			out = append(out, "Secret "+name[strings.LastIndex(name, ".secrets.")+len(".secrets."):])
		}
	}
	return out
}

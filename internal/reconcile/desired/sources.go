// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Kinds of sources, as directories of the agent.
const (
	sourceSecret    = "secret"
	sourceConfigMap = "configmap"
)

// source is a Secret or a ConfigMap of a user that pods of the application use. The
// operator reads neither; the agent mounts them and shows their digests.
type source struct{ kind, name string }

// mount brings the source to the agent. A missing one is no reason not to watch.
func (s source) mount(i int) (corev1.Volume, corev1.VolumeMount) {
	v := corev1.Volume{Name: fmt.Sprintf("mounted-%d", i)}
	if s.kind == sourceSecret {
		v.Secret = &corev1.SecretVolumeSource{SecretName: s.name, DefaultMode: new(int32(0o440)), Optional: new(true)}
	} else {
		v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.name}, DefaultMode: new(int32(0o440)), Optional: new(true)}
	}
	return v, corev1.VolumeMount{Name: v.Name, MountPath: path.Join(mountedPath, s.kind, s.name), ReadOnly: true}
}

// sourcesOf lists the sources that the application uses, each once, in order.
func sourcesOf(p *v1alpha1.SparkPipeline) ([]source, error) {
	var out []source
	var invalid error
	field := "spec.application.env"
	add := func(kind, name string) {
		if name == "" {
			return
		}
		// The name becomes a part of a path.
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 && invalid == nil {
			invalid = &InvalidError{Field: field, Found: "the " + kind + " " + strconv.Quote(name), Allowed: strings.Join(problems, "; ")}
		}
		out = append(out, source{kind, name})
	}
	environmentSources(p.Spec.Application.Env, nil, add)
	add(sourceSecret, p.Spec.ObjectStore.Credentials.SecretName)
	for _, template := range []struct {
		field string
		raw   *runtime.RawExtension
	}{{"spec.driver.podTemplate", p.Spec.Driver.PodTemplate}, {"spec.executor.podTemplate", p.Spec.Executor.PodTemplate}} {
		if template.raw == nil || len(template.raw.Raw) == 0 {
			continue
		}
		t := &corev1.PodTemplateSpec{}
		if err := yaml.UnmarshalStrict(template.raw.Raw, t); err != nil {
			return nil, &InvalidError{Field: template.field, Found: err.Error(), Allowed: "a PodTemplateSpec of Kubernetes"}
		}
		field = template.field
		podSources(&t.Spec, add)
	}
	if invalid != nil {
		return nil, invalid
	}
	slices.SortFunc(out, func(a, b source) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	return slices.Compact(out), nil
}

func podSources(pod *corev1.PodSpec, add func(kind, name string)) {
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		environmentSources(c.Env, c.EnvFrom, add)
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			add(sourceSecret, v.Secret.SecretName)
		}
		if v.ConfigMap != nil {
			add(sourceConfigMap, v.ConfigMap.Name)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				add(sourceSecret, s.Secret.Name)
			}
			if s.ConfigMap != nil {
				add(sourceConfigMap, s.ConfigMap.Name)
			}
		}
	}
}

func environmentSources(env []corev1.EnvVar, from []corev1.EnvFromSource, add func(kind, name string)) {
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if s := e.ValueFrom.SecretKeyRef; s != nil {
			add(sourceSecret, s.Name)
		}
		if s := e.ValueFrom.ConfigMapKeyRef; s != nil {
			add(sourceConfigMap, s.Name)
		}
	}
	for _, f := range from {
		if f.SecretRef != nil {
			add(sourceSecret, f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			add(sourceConfigMap, f.ConfigMapRef.Name)
		}
	}
}

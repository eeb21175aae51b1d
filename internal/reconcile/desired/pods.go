// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/agent/config"
)

// podSecurity is the part of the restricted profile that a pod says once.
func podSecurity(user int64) *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
		// A large claim is not walked through at each start when its owner fits.
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// containerSecurity is the part that each container says.
func containerSecurity() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), RunAsNonRoot: new(true),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// small are the resources of a container that does little. CPU has no limit: it
// would only slow down what could be over.
func small(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)},
	}
}

// agentConfigPath is where the agent finds what it works on.
const agentConfigPath = "/etc/sparkpipeline/agent"

// Volumes of the agent, by names that no volume of Spark has.
const (
	volumeAgentConfig = "agent-config"
	volumeAgentCA     = "agent-ca"
)

// agentMounts and agentVolumes bring the agent its configuration, and the
// certificate authority of the object store where the spec names one.
func agentMounts(p *v1alpha1.SparkPipeline) []corev1.VolumeMount {
	out := []corev1.VolumeMount{{Name: volumeAgentConfig, MountPath: agentConfigPath, ReadOnly: true}}
	if p.Spec.ObjectStore.CASecret != nil {
		out = append(out, corev1.VolumeMount{Name: volumeAgentCA, MountPath: path.Dir(config.CAFile), ReadOnly: true})
	}
	return out
}

func agentVolumes(p *v1alpha1.SparkPipeline) []corev1.Volume {
	out := []corev1.Volume{{Name: volumeAgentConfig, VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: p.Name + "-agent"}}}}}
	if ca := p.Spec.ObjectStore.CASecret; ca != nil {
		out = append(out, corev1.Volume{Name: volumeAgentCA, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: ca.Name}}})
	}
	return out
}

// agentContainer runs one command of the agent. All it needs to know is in the
// ConfigMap of agentConfig; secrets come by environment.
func agentContainer(in Input, command string) corev1.Container {
	c := corev1.Container{
		Name:            command,
		Image:           in.Defaults.AgentImage,
		ImagePullPolicy: in.Defaults.AgentPullPolicy,
		Command:         []string{"/agent", command, "--config", agentConfigPath + "/pipeline.json"},
		Env:             objectStoreEnv(in.Pipeline),
		SecurityContext: containerSecurity(),
		Resources:       small("100m", "256Mi"),
		VolumeMounts:    agentMounts(in.Pipeline),
		// What the agent found is its last word.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	return c
}

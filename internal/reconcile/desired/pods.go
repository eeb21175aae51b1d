// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// operatorUser is the user of the operator's own image.
const operatorUser = 65532

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
		// What the agent found is its last word.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	return c
}

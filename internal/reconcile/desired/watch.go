// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// PortWatch is where the watch serves /status, /metrics and its probes.
const PortWatch = 8082

const (
	commandWatch = "watch"
	// mountedPath holds what the application uses of Secrets and ConfigMaps, as
	// KIND/NAME.
	mountedPath = "/etc/sparkpipeline/mounted"
	// annotationConfig on a pod is the digest of the configuration that it has read:
	// another one makes another pod.
	annotationConfig = "sparkpipeline.dev/agent-config"
)

// watches says whether the checkpoint is watched. A claim that one node at a time
// can have is not: a pod that holds it would keep a driver that has to move to
// another node from its state.
func watches(in Input) bool {
	volume := in.Pipeline.CheckpointVolume()
	return slices.Contains(in.Defaults.AgentCommands, commandWatch) &&
		(volume == nil || volume.AccessMode == v1alpha1.AccessReadWriteMany)
}

// WatchName is the name of the Deployment that watches the checkpoint.
func WatchName(p *v1alpha1.SparkPipeline) string { return p.Name + "-" + commandWatch }

// watch is the agent that looks at the checkpoint all the time. It is ready while
// every query makes progress and its state is sound. It holds no token and mounts
// everything read-only.
func watch(in Input) ([]Object, error) {
	if !watches(in) {
		return nil, nil
	}
	p := in.Pipeline
	sources, err := sourcesOf(p)
	if err != nil {
		return nil, err
	}
	digest, err := agentConfigDigest(in)
	if err != nil {
		return nil, err
	}
	c := agentContainer(in, commandWatch)
	c.Command = append(c.Command, "--mounted", mountedPath, "--stall-after", string(p.Spec.Health.StallAfter))
	c.Ports = []corev1.ContainerPort{{Name: "metrics", ContainerPort: PortWatch, Protocol: corev1.ProtocolTCP}}
	c.LivenessProbe, c.ReadinessProbe = watchProbe("/livez", 30), watchProbe("/readyz", 10)
	c.Resources = small("20m", "256Mi")
	// A listing of a root is kept in memory while it is judged: rather collect
	// garbage more often than be ended by the kernel.
	c.Env = append(c.Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "224MiB"})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	volumes := append(agentVolumes(p), emptyDir("tmp"))
	if m := checkpointMount(in, true); m != nil {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: m.volume.Name, MountPath: m.path, ReadOnly: true})
		volumes = append(volumes, m.volume)
	}
	kafkaVolumes, kafkaMounts := kafkaSecrets(p)
	volumes, c.VolumeMounts = append(volumes, kafkaVolumes...), append(c.VolumeMounts, kafkaMounts...)
	for i, s := range sources {
		volume, mount := s.mount(i)
		volumes, c.VolumeMounts = append(volumes, volume), append(c.VolumeMounts, mount)
	}
	return []Object{&appsv1.Deployment{ObjectMeta: named(in, commandWatch), Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(1)),
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Selector: selects(componentLabels(p, componentWatch)),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: observedLabels(p, componentWatch), Annotations: map[string]string{annotationConfig: digest}}, Spec: corev1.PodSpec{
			ServiceAccountName: p.Name + "-agent", AutomountServiceAccountToken: new(false),
			// The files are Spark's: its group may read them.
			SecurityContext: podSecurity(sparkUser), TerminationGracePeriodSeconds: new(int64(10)),
			Containers: []corev1.Container{c}, Volumes: volumes,
		}},
	}}}, nil
}

// WatchLabels select the pod that watches the checkpoint of p.
func WatchLabels(p *v1alpha1.SparkPipeline) map[string]string {
	return observedLabels(p, componentWatch)
}

func watchProbe(path string, period int32) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: period, FailureThreshold: 3, TimeoutSeconds: 5, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("metrics")}}}
}

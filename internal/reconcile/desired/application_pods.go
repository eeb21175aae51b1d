// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/agent/config"
)

// sparkUser is the user of Spark's images. They name it, which the kubelet cannot
// check against runAsNonRoot, so its number is said.
const sparkUser = 185

// GuardContainer is the init container that judges the checkpoint.
const GuardContainer = "guard"

// Names of the operator's other init containers.
const (
	initTrust = "trust"
	initJMX   = "jmx-agent"
)

const (
	jmxRules      = "/opt/sparkpipeline/jmx/rules.yaml"
	jmxInjected   = "/opt/sparkpipeline/jmx/jmx_prometheus_javaagent.jar"
	jmxInImage    = "/opt/spark/jars/jmx_prometheus_javaagent.jar"
	trustPath     = "/opt/sparkpipeline/trust"
	trustStore    = trustPath + "/cacerts"
	versionPath   = "/api/v1/version"
	driverGrace   = 60
	executorGrace = 90
)

func jmxJar(p *v1alpha1.SparkPipeline) string {
	if p.Spec.Monitoring.JMX == v1alpha1.JMXInjected {
		return jmxInjected
	}
	return jmxInImage
}

// driverTemplate is the template of the driver's pod. Spark honours it entirely.
func driverTemplate(in Input) (*corev1.PodTemplateSpec, error) {
	p := in.Pipeline
	if err := checkEnv(p); err != nil {
		return nil, err
	}
	if p.Spec.Monitoring.JMX == v1alpha1.JMXInjected && in.Defaults.JMXImage == "" {
		return nil, &InvalidError{Field: "spec.monitoring.jmx", Found: string(v1alpha1.JMXInjected),
			Allowed: "Disabled or Image, because this install of the operator has no --jmx-image to take the exporter from"}
	}
	t := sparkTemplate(in, driverContainer)
	c := &t.Spec.Containers[0]
	probe := func(period, failures int32) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 5,
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: versionPath, Port: intstr.FromInt32(portUI)}}}
	}
	// Dependencies may be fetched before the UI is there.
	c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = probe(5, 120), probe(30, 3), probe(10, 3)
	t.Spec.TerminationGracePeriodSeconds = new(int64(driverGrace))
	t.Spec.PriorityClassName = "sparkpipeline-driver"
	// The driver makes its executors; its account mounts no token by itself.
	t.Spec.AutomountServiceAccountToken = new(true)
	class := in.Defaults.Placement[p.Spec.Driver.Scheduling.Capacity]
	t.Spec.NodeSelector = class.NodeSelector
	t.Spec.Tolerations = append(quickEviction(), class.Tolerations...)
	if in.Defaults.Guard {
		t.Spec.InitContainers = append(t.Spec.InitContainers, guardContainer(in))
		t.Spec.Volumes = append(t.Spec.Volumes, agentVolumes(p)...)
		t.Spec.Volumes = append(t.Spec.Volumes, guardVolume(p))
	}
	return underlay(in, "spec.driver.podTemplate", p.Spec.Driver.PodTemplate, t, driverContainer)
}

// executorTemplate is the template of the executors' pods.
func executorTemplate(in Input) (*corev1.PodTemplateSpec, error) {
	p := in.Pipeline
	t := sparkTemplate(in, executorContainer)
	t.Spec.TerminationGracePeriodSeconds = new(int64(executorGrace))
	t.Spec.PriorityClassName = "sparkpipeline-executor"
	class := in.Defaults.Placement[p.Spec.Executor.Scheduling.Capacity]
	t.Spec.NodeSelector, t.Spec.Tolerations = class.NodeSelector, class.Tolerations
	t.Spec.TopologySpreadConstraints = spread(p.Spec.Executor.Scheduling.Spread, sparkSelector(p, "executor"))
	t.Spec.AutomountServiceAccountToken = new(false)
	return underlay(in, "spec.executor.podTemplate", p.Spec.Executor.PodTemplate, t, executorContainer)
}

// sparkTemplate is what driver and executors have in common.
func sparkTemplate(in Input, container string) *corev1.PodTemplateSpec {
	p := in.Pipeline
	t := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		SecurityContext: podSecurity(sparkUser),
		Containers: []corev1.Container{{
			Name:            container,
			Env:             append(objectStoreEnv(p), p.Spec.Application.Env...),
			SecurityContext: containerSecurity(),
			// kubeflow deletes a dead driver after a second: what it said last
			// must be in its status by then.
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			VolumeMounts: []corev1.VolumeMount{
				{Name: "tmp", MountPath: "/tmp"},
				{Name: "work", MountPath: "/opt/spark/work-dir"},
			},
		}},
		Volumes: []corev1.Volume{emptyDir("tmp"), emptyDir("work")},
	}}
	if p.Spec.Monitoring.JMX != v1alpha1.JMXDisabled {
		addJMX(in, t)
	}
	if p.Spec.ObjectStore.CASecret != nil {
		addTrust(p, t)
	}
	return t
}

// addJMX brings the exporter's rules, and its jar where the image has none.
func addJMX(in Input, t *corev1.PodTemplateSpec) {
	p := in.Pipeline
	c := &t.Spec.Containers[0]
	c.Ports = append(c.Ports, corev1.ContainerPort{Name: "jmx", ContainerPort: portJMX, Protocol: corev1.ProtocolTCP})
	t.Spec.Volumes = append(t.Spec.Volumes, corev1.Volume{Name: "jmx-rules", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: p.Name + "-jmx"}}}})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "jmx-rules", MountPath: jmxRules, SubPath: "rules.yaml", ReadOnly: true})
	if p.Spec.Monitoring.JMX != v1alpha1.JMXInjected {
		return
	}
	t.Spec.Volumes = append(t.Spec.Volumes, emptyDir("jmx-agent"))
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "jmx-agent", MountPath: jmxInjected, SubPath: "jmx_prometheus_javaagent.jar", ReadOnly: true})
	t.Spec.InitContainers = append(t.Spec.InitContainers, corev1.Container{
		Name: initJMX, Image: in.Defaults.JMXImage,
		Command:         []string{"cp", "/jmx_prometheus_javaagent.jar", "/agent/"},
		VolumeMounts:    []corev1.VolumeMount{{Name: "jmx-agent", MountPath: "/agent"}},
		SecurityContext: containerSecurity(), Resources: small("50m", "64Mi"),
	})
}

// addTrust makes a trust store that holds the store's certificate authority beside
// the image's own. keytool is part of the JRE that every Spark image has.
func addTrust(p *v1alpha1.SparkPipeline, t *corev1.PodTemplateSpec) {
	c := &t.Spec.Containers[0]
	t.Spec.Volumes = append(t.Spec.Volumes, emptyDir("trust"), corev1.Volume{Name: "object-store-ca", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: p.Spec.ObjectStore.CASecret.Name}}})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "trust", MountPath: trustPath, ReadOnly: true})
	// The password of a trust store guards nothing: certificates are public.
	c.Env = append(c.Env, corev1.EnvVar{Name: "JDK_JAVA_OPTIONS", Value: "-Djavax.net.ssl.trustStore=" + trustStore + " -Djavax.net.ssl.trustStorePassword=changeit"})
	t.Spec.InitContainers = append(t.Spec.InitContainers, corev1.Container{
		Name: initTrust, Image: p.Spec.Image,
		Command: []string{"/bin/sh", "-ec", `home=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
rm -f ` + trustStore + `
keytool -importkeystore -noprompt -srckeystore "$home/lib/security/cacerts" -srcstorepass changeit -destkeystore ` + trustStore + ` -deststorepass changeit
keytool -importcert -noprompt -alias object-store -file /object-store-ca/ca.crt -keystore ` + trustStore + ` -storepass changeit`},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "trust", MountPath: trustPath},
			{Name: "object-store-ca", MountPath: "/object-store-ca", ReadOnly: true},
			{Name: "tmp", MountPath: "/tmp"},
		},
		SecurityContext: containerSecurity(), Resources: small("100m", "256Mi"),
	})
}

// guardContainer looks at the checkpoint before every submission of the driver,
// whoever made it, and refuses when starting would lose state. Its orders are in
// a ConfigMap that the operator keeps, so they are current for every retry.
func guardContainer(in Input) corev1.Container {
	p := in.Pipeline
	c := agentContainer(in, GuardContainer)
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "guard", MountPath: path.Dir(config.OrdersFile), ReadOnly: true})
	// By this label Spark tells the pods of its submissions apart.
	c.Env = append(c.Env, corev1.EnvVar{Name: "SPARK_APP_SELECTOR", ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.labels['" + LabelSparkApp + "']"}}})
	if CheckpointClaim(in) != "" {
		// Spark gives the claim's volume this name.
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "checkpoint", MountPath: p.Spec.Checkpoint.MountPath})
	}
	return c
}

func guardVolume(p *v1alpha1.SparkPipeline) corev1.Volume {
	return corev1.Volume{Name: "guard", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: p.Name + "-guard"}}}}
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func selects(labels map[string]string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: labels}
}

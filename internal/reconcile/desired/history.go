// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete

// history is Spark's history server, in the pipeline's own image: it reads the
// event logs of exactly that version. It writes to the claim to compact them.
func history(in Input) ([]Object, error) {
	p := in.Pipeline
	if p.Spec.HistoryServer.State == v1alpha1.StateDisabled {
		return nil, nil
	}
	labels := componentLabels(p, componentHistory)
	options := "-Dspark.history.fs.logDirectory=file://" + eventLogPath +
		" -Dspark.history.ui.port=" + strconv.Itoa(portHistory) +
		" -Dspark.history.store.path=/tmp/store" +
		" -Dspark.history.fs.eventLog.rolling.maxFilesToRetain=50"
	probe := func(period int32) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: period, FailureThreshold: 3, TimeoutSeconds: 5, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: versionPath, Port: intstr.FromString("web")}}}
	}
	startup := probe(5)
	startup.FailureThreshold = 60
	resources := small("500m", "2Gi")
	return []Object{&appsv1.Deployment{ObjectMeta: named(in, "history"), Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(1)),
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Selector: selects(labels),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			ServiceAccountName: p.Name + "-history", AutomountServiceAccountToken: new(false),
			SecurityContext: podSecurity(sparkUser), ImagePullSecrets: p.Spec.ImagePullSecrets,
			Containers: []corev1.Container{{
				Name: "history-server", Image: p.Spec.Image,
				Command: []string{"/opt/spark/bin/spark-class", "org.apache.spark.deploy.history.HistoryServer"},
				Env: []corev1.EnvVar{
					{Name: "SPARK_HISTORY_OPTS", Value: options},
					{Name: "SPARK_DAEMON_MEMORY", Value: "1536m"},
					{Name: "SPARK_NO_DAEMONIZE", Value: "true"},
				},
				Ports:        []corev1.ContainerPort{{Name: "web", ContainerPort: portHistory, Protocol: corev1.ProtocolTCP}},
				StartupProbe: startup, LivenessProbe: probe(30), ReadinessProbe: probe(10),
				Resources: resources, SecurityContext: containerSecurity(),
				VolumeMounts: []corev1.VolumeMount{{Name: "eventlog", MountPath: eventLogPath}, {Name: "tmp", MountPath: "/tmp"}},
			}},
			Volumes: []corev1.Volume{emptyDir("tmp"), claimVolume("eventlog", eventLogClaim(p), false)},
		}},
	}}}, nil
}

func claimVolume(name, claim string, readOnly bool) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim, ReadOnly: readOnly}}}
}

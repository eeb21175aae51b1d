// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// AllocatorKey is the setting that says what the driver makes executors by.
	AllocatorKey = "spark.kubernetes.allocation.pods.allocator"
	// AllocatorStatefulSet is the one allocator that is simulated.
	AllocatorStatefulSet = "statefulset"

	defaultInstances = 2
)

// StatefulSetName is the name of the executors' StatefulSet of a run.
func StatefulSetName(appID string) string { return "spark-s-" + appID + "-" + defaultProfile }

// Executors is the StatefulSet that the driver makes. It has no labels, and its
// replicas are written once.
func (r *Run) Executors(driver *corev1.Pod) (*appsv1.StatefulSet, error) {
	template := podTemplate(r.App.Spec.Executor.Template, ExecutorContainer)
	spec := &template.Spec
	c := sparkContainer(spec, ExecutorContainer)
	spec.RestartPolicy = corev1.RestartPolicyAlways
	r.setIdentity(spec)
	c.Args = []string{RoleExecutor}
	c.Ports = append(c.Ports, port("blockmanager", 7079))
	c.Env = append(c.Env, r.env("spark.executorEnv.", "spark.kubernetes.executor.secretKeyRef.")...)
	c.Env = append(c.Env, corev1.EnvVar{Name: "SPARK_APPLICATION_ID", Value: r.ID}, corev1.EnvVar{Name: "SPARK_EXECUTOR_ID", Value: UnknownExecutor})
	if r.Conf.Bool("spark.decommission.enabled", false) {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/opt/decom.sh"}}}}
	}
	if err := r.complete(spec, c, executorRole); err != nil {
		return nil, err
	}
	template.Name = r.Prefix + "-exec-" + UnknownExecutor
	template.Labels = merged(template.Labels, r.labels(RoleExecutor, execLabelPrefix), map[string]string{
		LabelExecutorID: UnknownExecutor, LabelResourceProfile: defaultProfile})
	template.Annotations = merged(template.Annotations, r.Conf.under(execAnnotPrefix))
	instances, err := r.instances()
	if err != nil {
		return nil, err
	}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: driver.Namespace, Name: StatefulSetName(r.ID),
			OwnerReferences: []metav1.OwnerReference{ownedByPod(driver)},
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &instances, PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{
				LabelAppID: r.ID, LabelRole: RoleExecutor, LabelResourceProfile: defaultProfile}},
			Template: *template,
		},
	}, nil
}

func (r *Run) setIdentity(spec *corev1.PodSpec) {
	for _, key := range []string{"spark.kubernetes.authenticate.executor.serviceAccountName", "spark.kubernetes.authenticate.driver.serviceAccountName"} {
		if spec.ServiceAccountName == "" {
			spec.ServiceAccountName = r.Conf[key]
		}
	}
	if n, err := strconv.ParseInt(r.Conf["spark.kubernetes.executor.terminationGracePeriodSeconds"], 10, 64); err == nil {
		spec.TerminationGracePeriodSeconds = ptr.To(n)
	}
}

func (r *Run) instances() (int32, error) {
	text := r.Conf[instancesKey]
	if text == "" {
		return defaultInstances, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, settingError(instancesKey, text, "a number")
	}
	return int32(n), nil
}

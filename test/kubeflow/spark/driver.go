// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Driver is the driver pod: the application's template with what Spark adds.
func (r *Run) Driver() (*corev1.Pod, error) {
	template := podTemplate(r.App.Spec.Driver.Template, DriverContainer)
	spec := &template.Spec
	c := sparkContainer(spec, DriverContainer)
	spec.RestartPolicy = corev1.RestartPolicyNever
	if account := r.Conf["spark.kubernetes.authenticate.driver.serviceAccountName"]; account != "" {
		spec.ServiceAccountName = account
	}
	c.Args = []string{"driver", "--properties-file", "/opt/spark/conf/spark.properties"}
	if r.App.Spec.MainClass != nil {
		c.Args = append(c.Args, "--class", *r.App.Spec.MainClass)
	}
	if r.App.Spec.MainApplicationFile != nil {
		c.Args = append(c.Args, *r.App.Spec.MainApplicationFile)
	}
	c.Args = append(c.Args, r.App.Spec.Arguments...)
	c.Ports = append(c.Ports, port("driver-rpc-port", 7078), port("blockmanager", 7079), port("spark-ui", 4040))
	if !strings.HasPrefix(r.App.Spec.SparkVersion, "3.") {
		c.Ports = append(c.Ports, port("spark-connect", 15002))
	}
	c.Env = append(c.Env, r.env("spark.kubernetes.driverEnv.", "spark.kubernetes.driver.secretKeyRef.")...)
	c.Env = append(c.Env, corev1.EnvVar{Name: "SPARK_DRIVER_BIND_ADDRESS", ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"}}})
	if err := r.complete(spec, c, driverRole); err != nil {
		return nil, err
	}
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: *spec}
	pod.Namespace, pod.Name = r.App.Namespace, DriverPodName(r.App)
	pod.Labels = merged(pod.Labels, r.labels(RoleDriver, driverLabelPrefix))
	pod.Annotations = merged(pod.Annotations, r.Conf.under(driverAnnotPrefix))
	pod.OwnerReferences = append(pod.OwnerReferences, OwnedBy(r.App))
	return pod, nil
}

// DriverService is the headless Service by which executors find the driver.
func (r *Run) DriverService(driver *corev1.Pod) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: driver.Namespace, Name: r.Prefix + "-driver-svc",
			OwnerReferences: []metav1.OwnerReference{ownedByPod(driver)},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: r.labels(RoleDriver, driverLabelPrefix),
			Ports: []corev1.ServicePort{
				{Name: "driver-rpc-port", Port: 7078}, {Name: "blockmanager", Port: 7079}, {Name: "spark-ui", Port: 4040}, {Name: "spark-connect", Port: 15002}},
		},
	}
}

// role is where the settings of the driver or of the executors are.
type role struct{ prefix, memory, overhead, cores string }

var (
	driverRole = role{prefix: "spark.kubernetes.driver.", memory: "spark.driver.memory",
		overhead: "spark.driver.memoryOverhead", cores: "spark.driver.cores"}
	executorRole = role{prefix: "spark.kubernetes.executor.", memory: "spark.executor.memory",
		overhead: "spark.executor.memoryOverhead", cores: "spark.executor.cores"}
)

// complete sets what is alike in driver and executors.
func (r *Run) complete(spec *corev1.PodSpec, c *corev1.Container, of role) error {
	c.Image = cmp.Or(r.Conf[of.prefix+"container.image"], r.Conf[imageKey], c.Image)
	c.ImagePullPolicy = corev1.PullPolicy(cmp.Or(r.Conf[pullPolicyKey], string(c.ImagePullPolicy), string(corev1.PullIfNotPresent)))
	for name := range strings.SplitSeq(r.Conf[pullSecretsKey], ",") {
		if name != "" {
			spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		}
	}
	spec.NodeSelector = merged(spec.NodeSelector, r.Conf.under("spark.kubernetes.node.selector."), r.Conf.under(of.prefix+"node.selector."))
	resources, err := r.resources(of)
	if err != nil {
		return err
	}
	c.Resources = resources
	if err := addVolumes(spec, c, r.Conf.under(of.prefix+"volumes.")); err != nil {
		return err
	}
	for name, path := range sorted(r.Conf.under(of.prefix + "secrets.")) {
		volume := name + "-volume"
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: volume,
			VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: path})
	}
	const scratch = "spark-local-dir-1"
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: scratch, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: scratch, MountPath: "/var/data/" + r.ID})
	return nil
}

// env are the variables of two families of settings: plain ones, and those of the
// form secret:key.
func (r *Run) env(plain, refs string) []corev1.EnvVar {
	var env []corev1.EnvVar
	for name, value := range sorted(r.Conf.under(plain)) {
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	for name, ref := range sorted(r.Conf.under(refs)) {
		secret, key, _ := strings.Cut(ref, ":")
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}}})
	}
	return env
}

// podTemplate is a copy of a template, or one with nothing but Spark's container.
func podTemplate(template *corev1.PodTemplateSpec, container string) *corev1.PodTemplateSpec {
	if template != nil {
		return template.DeepCopy()
	}
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: container}}}}
}

// sparkContainer is the container of a template that Spark runs in: the one of
// this name, else the first.
func sparkContainer(spec *corev1.PodSpec, name string) *corev1.Container {
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return &spec.Containers[i]
		}
	}
	if len(spec.Containers) == 0 {
		spec.Containers = []corev1.Container{{}}
	}
	spec.Containers[0].Name = name
	return &spec.Containers[0]
}

func port(name string, number int32) corev1.ContainerPort {
	return corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: corev1.ProtocolTCP}
}

func ownedByPod(pod *corev1.Pod) metav1.OwnerReference {
	controller := true
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: &controller}
}

func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

func settingError(key, value, want string) error {
	return fmt.Errorf("Spark setting %s: found %q, want %s", key, value, want)
}

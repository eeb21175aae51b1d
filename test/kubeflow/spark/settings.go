// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

const (
	driverPodNameKey  = "spark.kubernetes.driver.pod.name"
	driverLabelPrefix = "spark.kubernetes.driver.label."
	execLabelPrefix   = "spark.kubernetes.executor.label."
	driverAnnotPrefix = "spark.kubernetes.driver.annotation."
	execAnnotPrefix   = "spark.kubernetes.executor.annotation."
	hadoopPrefix      = "spark.hadoop."
	imageKey          = "spark.kubernetes.container.image"
	pullPolicyKey     = "spark.kubernetes.container.image.pullPolicy"
	pullSecretsKey    = "spark.kubernetes.container.image.pullSecrets"
	instancesKey      = "spark.executor.instances"
	kueueLabelPrefix  = "kueue.x-k8s.io/"
)

// Setting is one Spark setting.
type Setting struct{ Key, Value string }

// Settings are those that kubeflow passes to spark-submit for an application, in
// its order: what comes later wins, so typed fields win over sparkConf. The
// submission id is taken from the status. Fields that kubeflow's webhook applies
// to pods have none.
func Settings(app *sparkapi.SparkApplication) []Setting {
	s := settings{}
	s.add("spark.kubernetes.namespace", app.Namespace)
	s.addPointer(imageKey, app.Spec.Image)
	s.addPointer(pullPolicyKey, app.Spec.ImagePullPolicy)
	if len(app.Spec.ImagePullSecrets) > 0 {
		s.add(pullSecretsKey, strings.Join(app.Spec.ImagePullSecrets, ","))
	}
	s.add("spark.kubernetes.submission.waitAppCompletion", "false")
	for key, value := range sorted(app.Spec.SparkConf) {
		if key != driverPodNameKey {
			s.add(key, value)
		}
	}
	for key, value := range sorted(app.Spec.HadoopConf) {
		s.add(hadoopPrefix+key, value)
	}
	s.add(driverPodNameKey, DriverPodName(app))
	s.addDriver(app)
	s.addExecutors(app)
	return s
}

// Conf are settings by key, as Spark sees them.
type Conf map[string]string

// Resolve keeps the last value of each setting.
func Resolve(all []Setting) Conf {
	c := Conf{}
	for _, s := range all {
		c[s.Key] = s.Value
	}
	return c
}

// Bool is a setting that is true or false.
func (c Conf) Bool(key string, standard bool) bool {
	b, err := strconv.ParseBool(c[key])
	if err != nil {
		return standard
	}
	return b
}

// under are the settings below a prefix, without it.
func (c Conf) under(prefix string) map[string]string {
	found := map[string]string{}
	for key, value := range c {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			found[rest] = value
		}
	}
	return found
}

type settings []Setting

func (s *settings) add(key, value string) { *s = append(*s, Setting{key, value}) }

func (s *settings) addPointer(key string, value *string) {
	if value != nil && *value != "" {
		s.add(key, *value)
	}
}

func (s *settings) addInt(key string, value *int32) {
	if value != nil {
		s.add(key, strconv.FormatInt(int64(*value), 10))
	}
}

func (s *settings) addDriver(app *sparkapi.SparkApplication) {
	d := app.Spec.Driver
	s.addKubeflowLabels(app, driverLabelPrefix, d.Template == nil)
	s.addPointer("spark.kubernetes.driver.container.image", app.Spec.Image)
	s.addInt("spark.driver.cores", d.Cores)
	s.addPointer("spark.kubernetes.driver.request.cores", d.CoreRequest)
	s.addPointer("spark.kubernetes.driver.limit.cores", d.CoreLimit)
	s.addPointer("spark.driver.memory", d.Memory)
	s.addPointer("spark.driver.memoryOverhead", d.MemoryOverhead)
	s.addPointer("spark.kubernetes.authenticate.driver.serviceAccountName", d.ServiceAccount)
	s.addPointer("spark.driver.extraJavaOptions", d.JavaOptions)
	s.addMetadata(app.Labels, d.SparkPodSpec, driverLabelPrefix, driverAnnotPrefix)
}

func (s *settings) addExecutors(app *sparkapi.SparkApplication) {
	e := app.Spec.Executor
	s.addKubeflowLabels(app, execLabelPrefix, e.Template == nil)
	s.addInt(instancesKey, e.Instances)
	s.addPointer("spark.kubernetes.executor.container.image", app.Spec.Image)
	s.addInt("spark.executor.cores", e.Cores)
	s.addPointer("spark.kubernetes.executor.request.cores", e.CoreRequest)
	s.addPointer("spark.kubernetes.executor.limit.cores", e.CoreLimit)
	s.addPointer("spark.executor.memory", e.Memory)
	s.addPointer("spark.executor.memoryOverhead", e.MemoryOverhead)
	s.addPointer("spark.kubernetes.authenticate.executor.serviceAccountName", e.ServiceAccount)
	if e.DeleteOnTermination != nil {
		s.add("spark.kubernetes.executor.deleteOnTermination", strconv.FormatBool(*e.DeleteOnTermination))
	}
	s.addMetadata(app.Labels, e.SparkPodSpec, execLabelPrefix, execAnnotPrefix)
	s.addPointer("spark.executor.extraJavaOptions", e.JavaOptions)
}

func (s *settings) addKubeflowLabels(app *sparkapi.SparkApplication, prefix string, mutated bool) {
	s.add(prefix+LabelAppName, app.Name)
	s.add(prefix+LabelLaunched, "true")
	if mutated {
		s.add(prefix+LabelMutated, "true")
	}
	s.add(prefix+LabelSubmissionID, app.Status.SubmissionID)
}

// addMetadata adds the labels of the application, then the labels and annotations
// of a role.
func (s *settings) addMetadata(labels map[string]string, role sparkapi.SparkPodSpec, labelPrefix, annotationPrefix string) {
	for key, value := range sorted(labels) {
		if !strings.HasPrefix(key, kueueLabelPrefix) {
			s.add(labelPrefix+key, value)
		}
	}
	for key, value := range sorted(role.Labels) {
		s.add(labelPrefix+key, value)
	}
	for key, value := range sorted(role.Annotations) {
		s.add(annotationPrefix+key, value)
	}
}

// sorted yields a map in the order of its keys.
func sorted(m map[string]string) func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package spark_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/internal/sparkapi"
	"sparkpipeline.dev/operator/test/kubeflow/recording"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// recorded are the first objects of each kind in a recording of real Spark.
type recorded struct {
	app      *sparkapi.SparkApplication
	driver   *corev1.Pod
	set      *appsv1.StatefulSet
	executor *corev1.Pod
}

func read(t *testing.T, name string) recorded {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "traces", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := recording.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	for _, e := range events {
		switch {
		case e.Application != nil && r.app == nil:
			r.app = e.Application
		case e.Set != nil && r.set == nil:
			r.set = e.Set
		case e.Pod != nil && e.Pod.Labels[spark.LabelRole] == spark.RoleDriver && r.driver == nil:
			r.driver = e.Pod
		case e.Pod != nil && e.Pod.Labels[spark.LabelRole] == spark.RoleExecutor && r.executor == nil:
			r.executor = e.Pod
		}
	}
	return r
}

// newRun is a run of the recorded application under the recorded ids.
func (r recorded) newRun() *spark.Run {
	app := r.app.DeepCopy()
	app.Status.SubmissionID = r.driver.Labels[spark.LabelSubmissionID]
	run := spark.NewRun(app)
	run.ID = r.driver.Labels[spark.LabelAppID]
	return run
}

// TestDriverIsLikeTheRecordedOne compares what was recorded of a driver that real
// Spark made with the one that is made here of the same application.
func TestDriverIsLikeTheRecordedOne(t *testing.T) {
	for _, name := range []string{"stream-ends-exit0", "guard-refuses", "driver-sigkill"} {
		t.Run(name, func(t *testing.T) {
			r := read(t, name)
			driver, err := r.newRun().Driver()
			if err != nil {
				t.Fatal(err)
			}
			if driver.Name != r.driver.Name {
				t.Errorf("name is %q, was %q", driver.Name, r.driver.Name)
			}
			if diff := cmp.Diff(r.driver.Labels, driver.Labels); diff != "" {
				t.Errorf("labels, - recorded:\n%s", diff)
			}
			if diff := cmp.Diff(r.driver.OwnerReferences, driver.OwnerReferences); diff != "" {
				t.Errorf("owners, - recorded:\n%s", diff)
			}
			comparePods(t, r.driver.Spec, driver.Spec)
		})
	}
}

// TestExecutorsAreLikeTheRecordedOnes is the same for the StatefulSet.
func TestExecutorsAreLikeTheRecordedOnes(t *testing.T) {
	r := read(t, "stream-ends-exit0")
	set, err := r.newRun().Executors(r.driver)
	if err != nil {
		t.Fatal(err)
	}
	if set.Name != r.set.Name || len(set.Labels) != 0 {
		t.Errorf("name is %q and labels are %v, was %q without labels", set.Name, set.Labels, r.set.Name)
	}
	if diff := cmp.Diff(r.set.OwnerReferences, set.OwnerReferences); diff != "" {
		t.Errorf("owners, - recorded:\n%s", diff)
	}
	if diff := cmp.Diff(r.set.Spec.Selector, set.Spec.Selector); diff != "" {
		t.Errorf("selector, - recorded:\n%s", diff)
	}
	if *set.Spec.Replicas != 2 || set.Spec.PodManagementPolicy != r.set.Spec.PodManagementPolicy {
		t.Errorf("replicas %d and policy %s, were 2 and %s", *set.Spec.Replicas, set.Spec.PodManagementPolicy, r.set.Spec.PodManagementPolicy)
	}
	labels := maps.Clone(r.set.Spec.Template.Labels)
	labels[spark.LabelSparkAppName] = r.app.Name // The recorded program named itself.
	if diff := cmp.Diff(labels, set.Spec.Template.Labels); diff != "" {
		t.Errorf("template's labels, - recorded:\n%s", diff)
	}
	comparePods(t, r.executor.Spec, set.Spec.Template.Spec)
}

// comparePods compares what recordings hold of a pod's spec.
func comparePods(t *testing.T, was, is corev1.PodSpec) {
	t.Helper()
	if was.RestartPolicy != is.RestartPolicy || was.ServiceAccountName != is.ServiceAccountName {
		t.Errorf("restart policy %s and account %q, were %s and %q", is.RestartPolicy, is.ServiceAccountName, was.RestartPolicy, was.ServiceAccountName)
	}
	if diff := cmp.Diff(claims(was), claims(is)); diff != "" {
		t.Errorf("claims, - recorded:\n%s", diff)
	}
	for i := range was.Containers {
		a, b := was.Containers[i], is.Containers[i]
		if a.Name != b.Name || a.Image != b.Image {
			t.Errorf("container %s of %s, was %s of %s", b.Name, b.Image, a.Name, a.Image)
		}
		if diff := cmp.Diff(a.Ports, b.Ports); diff != "" {
			t.Errorf("ports, - recorded:\n%s", diff)
		}
		if diff := cmp.Diff(a.Lifecycle, b.Lifecycle); diff != "" {
			t.Errorf("hooks, - recorded:\n%s", diff)
		}
		for _, kind := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if x, y := a.Resources.Requests[kind], b.Resources.Requests[kind]; x.Cmp(y) != 0 {
				t.Errorf("request of %s is %s, was %s", kind, &y, &x)
			}
			if x, y := a.Resources.Limits[kind], b.Resources.Limits[kind]; x.Cmp(y) != 0 {
				t.Errorf("limit of %s is %s, was %s", kind, &y, &x)
			}
		}
	}
}

func claims(spec corev1.PodSpec) []string {
	var names []string
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.Name+"="+v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// TestTypedFieldsWin holds the order of settings: sparkConf first, typed fields
// after it.
func TestTypedFieldsWin(t *testing.T) {
	memory := "2g"
	app := &sparkapi.SparkApplication{
		ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders", Labels: map[string]string{"team": "a", "kueue.x-k8s.io/queue": "q"}},
		Spec: sparkapi.SparkApplicationSpec{SparkConf: map[string]string{
			"spark.driver.memory": "9g", "spark.sql.shuffle.partitions": "4", "spark.kubernetes.driver.pod.name": "mine",
		}},
	}
	app.Spec.Driver.Memory = &memory
	app.Spec.Driver.Labels = map[string]string{"team": "b"}
	all := spark.Settings(app)
	conf := spark.Resolve(all)
	for key, want := range map[string]string{
		"spark.driver.memory":                                                          "2g",
		"spark.sql.shuffle.partitions":                                                 "4",
		"spark.kubernetes.driver.pod.name":                                             "mine",
		"spark.kubernetes.namespace":                                                   "data",
		"spark.kubernetes.driver.label.team":                                           "b",
		"spark.kubernetes.executor.label.team":                                         "a",
		"spark.kubernetes.executor.podNamePrefix":                                      "",
		"spark.kubernetes.driver.label.kueue.x-k8s.io/queue":                           "",
		"spark.kubernetes.submission.waitAppCompletion":                                "false",
		"spark.kubernetes.driver.label.sparkoperator.k8s.io/app-name":                  "orders",
		"spark.kubernetes.driver.label.sparkoperator.k8s.io/mutated-by-spark-operator": "true",
	} {
		if conf[key] != want {
			t.Errorf("%s is %q, want %q", key, conf[key], want)
		}
	}
	first := slices.IndexFunc(all, func(s spark.Setting) bool { return s.Key == "spark.driver.memory" })
	if all[first].Value != "9g" {
		t.Errorf("the first %s is %q, want that of sparkConf, 9g", all[first].Key, all[first].Value)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for key, value := range map[string]string{
		"spark.driver.memory":                                          "much",
		"spark.kubernetes.driver.request.cores":                        "many",
		"spark.kubernetes.driver.volumes.floppy.a.mount.path":          "/a",
		"spark.kubernetes.driver.volumes.emptyDir.a.options.sizeLimit": "huge",
		"spark.kubernetes.driver.volumes.emptyDir":                     "x",
	} {
		app := &sparkapi.SparkApplication{ObjectMeta: metav1.ObjectMeta{Name: "orders"}}
		app.Spec.SparkConf = map[string]string{key: value}
		if pod, err := spark.NewRun(app).Driver(); err == nil {
			t.Errorf("%s=%s made the driver %s, want an error", key, value, pod.Name)
		}
	}
}

// TestJarOfTheImageNeedsAClass is what the real spark-submit does.
func TestJarOfTheImageNeedsAClass(t *testing.T) {
	for _, c := range []struct {
		file, class string
		refused     bool
	}{
		{"local:///opt/app.jar", "", true},
		{"local:///opt/app.jar", "com.example.App", false},
		{"local:///opt/app.py", "", false},
		{"https://example.com/app.jar", "", false},
	} {
		app := &sparkapi.SparkApplication{}
		app.Spec.MainApplicationFile, app.Spec.MainClass = &c.file, &c.class
		if err := spark.NewRun(app).Check(); (err != nil) != c.refused {
			t.Errorf("%s with class %q: %v, refused should be %t", c.file, c.class, err, c.refused)
		}
	}
}

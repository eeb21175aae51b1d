// SPDX-License-Identifier: Apache-2.0

package spark_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

// fakeSpark is a SPARK_HOME whose spark-submit is a script. It finds the directory
// to leave things in as $OUT.
func fakeSpark(t *testing.T, script string) (*spark.SparkSubmit, string) {
	t.Helper()
	home, out := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "bin", "spark-submit"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &spark.SparkSubmit{Home: home, Master: "https://10.0.0.1:6443", Env: []string{"OUT=" + out}}, out
}

func TestSparkSubmitIsRunAsKubeflowDoes(t *testing.T) {
	submit, out := fakeSpark(t, `
for a in "$@"; do
  echo "$a" >> "$OUT/args"
  case $a in spark.kubernetes.*.podTemplateFile=*) cp "${a#*=}" "$OUT/" ;; esac
done`)
	r := read(t, "guard-refuses")
	app := r.app.DeepCopy()
	app.Status.SubmissionID = "4b1c"
	app.Spec.Deps.Packages = []string{"a:b:1", "c:d:2"}
	if err := submit.Submit(context.Background(), app); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "args"))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := []string{"--master", "k8s://https://10.0.0.1:6443", "--deploy-mode", "cluster", "--class", "sp.StreamApp",
		"--name", "orders", "--packages", "a:b:1,c:d:2", "--conf", "spark.kubernetes.namespace=" + app.Namespace}
	if got := args[:len(want)]; !slices.Equal(got, want) {
		t.Errorf("spark-submit began with %q, want %q", got, want)
	}
	tail := append([]string{"local:///opt/spark/app/stream-app.jar"}, app.Spec.Arguments...)
	if got := args[len(args)-len(tail):]; !slices.Equal(got, tail) {
		t.Errorf("spark-submit ended with %q, want %q", got, tail)
	}
	for _, conf := range []string{
		"spark.kubernetes.driver.label.sparkoperator.k8s.io/submission-id=4b1c",
		"spark.kubernetes.executor.podTemplateContainerName=spark-kubernetes-executor",
		"spark.kubernetes.submission.waitAppCompletion=false",
	} {
		if !slices.Contains(args, conf) {
			t.Errorf("spark-submit got no %s", conf)
		}
	}
	template := &corev1.PodTemplateSpec{}
	text, err = os.ReadFile(filepath.Join(out, "driver.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, template); err != nil {
		t.Fatal(err)
	}
	if len(template.OwnerReferences) != 1 || template.OwnerReferences[0].UID != app.UID {
		t.Errorf("the driver's template is owned by %v, want the application", template.OwnerReferences)
	}
	if len(template.Spec.InitContainers) != 1 || template.Spec.InitContainers[0].Name != "guard" {
		t.Errorf("the driver's template has init containers %v, want the guard", template.Spec.InitContainers)
	}
}

func TestSparkSubmitThatFails(t *testing.T) {
	app := read(t, "guard-refuses").app
	taken, _ := fakeSpark(t, `echo 'Received status: ... reason=AlreadyExists, ...' >&2; exit 1`)
	if err := taken.Submit(context.Background(), app); !errors.Is(err, spark.ErrDriverExists) {
		t.Errorf("a taken name gives %v, want %v", err, spark.ErrDriverExists)
	}
	broken, _ := fakeSpark(t, `echo 'no route to host' >&2; exit 1`)
	want := "failed to run spark-submit: no route to host\n"
	if err := broken.Submit(context.Background(), app); err == nil || err.Error() != want {
		t.Errorf("a failure gives %v, want %q", err, want)
	}
	absent := &spark.SparkSubmit{Home: t.TempDir()}
	if err := absent.Submit(context.Background(), app); err == nil || !strings.Contains(err.Error(), "spark-submit") {
		t.Errorf("no spark-submit gives %v, want an error that names it", err)
	}
}

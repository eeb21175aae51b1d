// SPDX-License-Identifier: Apache-2.0

package spark

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// ErrDriverExists is that the driver pod's name is taken.
var ErrDriverExists = errors.New("failed to run spark-submit: driver pod already exist")

// SparkSubmit runs the real spark-submit, as kubeflow's controller does.
type SparkSubmit struct {
	// Home is SPARK_HOME, with bin/spark-submit and jars of the application's
	// Spark version.
	Home string
	// Master is the address of the API server, https://host:port.
	Master string
	// Kubeconfig is a file with a token for that API server. Empty: spark-submit
	// finds its credentials by itself.
	Kubeconfig string
	// Env is added to the environment of spark-submit.
	Env []string
	// Log gets what spark-submit writes. Default: nothing.
	Log io.Writer
}

// Submit runs spark-submit and returns when the driver pod exists.
func (s *SparkSubmit) Submit(ctx context.Context, app *sparkapi.SparkApplication) error {
	dir, err := os.MkdirTemp("", "spark-submit-")
	if err != nil {
		return fmt.Errorf("make a directory for pod templates: %w", err)
	}
	defer os.RemoveAll(dir)
	args, err := s.arguments(app, dir)
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(s.Home, "bin", "spark-submit"), args...)
	cmd.Env = append(append(os.Environ(), "SPARK_HOME="+s.Home), s.Env...)
	if s.Kubeconfig != "" {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+s.Kubeconfig)
	}
	cmd.Stdout, cmd.Stderr = s.log(), io.MultiWriter(&stderr, s.log())
	if err := cmd.Run(); err != nil {
		if strings.Contains(stderr.String(), string(metav1.StatusReasonAlreadyExists)) {
			return ErrDriverExists
		}
		return fmt.Errorf("failed to run spark-submit: %s", cmp.Or(stderr.String(), err.Error()))
	}
	return nil
}

func (s *SparkSubmit) log() io.Writer {
	if s.Log == nil {
		return io.Discard
	}
	return s.Log
}

// arguments of spark-submit. It writes the pod templates to the directory.
func (s *SparkSubmit) arguments(app *sparkapi.SparkApplication, dir string) ([]string, error) {
	args := []string{"--master", "k8s://" + s.Master, "--deploy-mode", cmp.Or(app.Spec.Mode, "cluster")}
	if app.Spec.MainClass != nil {
		args = append(args, "--class", *app.Spec.MainClass)
	}
	args = append(args, "--name", app.Name)
	for _, d := range []struct {
		option string
		values []string
	}{
		{"--jars", app.Spec.Deps.Jars}, {"--packages", app.Spec.Deps.Packages},
		{"--py-files", app.Spec.Deps.PyFiles}, {"--files", app.Spec.Deps.Files},
	} {
		if len(d.values) > 0 {
			args = append(args, d.option, strings.Join(d.values, ","))
		}
	}
	all := Settings(app)
	templates, err := writeTemplates(app, dir)
	if err != nil {
		return nil, err
	}
	for _, setting := range append(all, templates...) {
		args = append(args, "--conf", setting.Key+"="+setting.Value)
	}
	if app.Spec.MainApplicationFile == nil {
		return nil, errors.New("spec.mainApplicationFile: found nothing, want the file that spark-submit is to run")
	}
	return append(append(args, *app.Spec.MainApplicationFile), app.Spec.Arguments...), nil
}

// writeTemplates writes both pod templates and answers with the settings that name
// them. Only the driver's owner reference has an effect: executors of a StatefulSet
// have that one as their owner.
func writeTemplates(app *sparkapi.SparkApplication, dir string) ([]Setting, error) {
	driver := podTemplate(app.Spec.Driver.Template, DriverContainer)
	driver.OwnerReferences = append(driver.OwnerReferences, OwnedBy(app))
	executor := podTemplate(app.Spec.Executor.Template, ExecutorContainer)
	owner := OwnedBy(app)
	owner.Controller, owner.BlockOwnerDeletion = nil, nil
	executor.OwnerReferences = append(executor.OwnerReferences, owner)
	var all []Setting
	for _, t := range []struct {
		role, container string
		template        *corev1.PodTemplateSpec
	}{{RoleDriver, DriverContainer, driver}, {RoleExecutor, ExecutorContainer, executor}} {
		text, err := yaml.Marshal(t.template)
		if err != nil {
			return nil, fmt.Errorf("write the %s's pod template: %w", t.role, err)
		}
		file := filepath.Join(dir, t.role+".yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, fmt.Errorf("write the %s's pod template: %w", t.role, err)
		}
		all = append(all, Setting{"spark.kubernetes." + t.role + ".podTemplateFile", file},
			Setting{"spark.kubernetes." + t.role + ".podTemplateContainerName", t.container})
	}
	return all, nil
}

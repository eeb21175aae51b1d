// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// child is the only object that a registry entry renders with the given name.
func child[T any](t *testing.T, in desired.Input, entry, name string) T {
	t.Helper()
	children, err := desired.Render(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	for _, c := range children {
		if c.Name == entry && c.Object.GetName() == name {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.Object.Object, &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatalf("%s renders no %s", entry, name)
	return out
}

// A route of an AlertmanagerConfig sees only alerts with the label of its own
// namespace, so each alert carries that, whoever was scraped.
func TestAlertsReachTheirRoute(t *testing.T) {
	for pipeline, namespace := range map[string]string{"full": "orders-prod", "minimal": "data"} {
		in := caseNamed(t, pipeline)
		rules := child[monitoringv1.PrometheusRule](t, in, "alerts", in.Pipeline.Name)
		if rules.Namespace != namespace || len(rules.Spec.Groups) != 1 || len(rules.Spec.Groups[0].Rules) != 9 {
			t.Fatalf("%s: got %+v", pipeline, rules)
		}
		for _, r := range rules.Spec.Groups[0].Rules {
			if r.Labels["namespace"] != namespace {
				t.Errorf("%s: %s carries the namespace %q", pipeline, r.Alert, r.Labels["namespace"])
			}
		}
	}
}

// The agent finds its configuration and the authority of the object store where
// it looks for them, in jobs and as the guard of the driver.
func TestAgentFindsWhatItReads(t *testing.T) {
	in := caseNamed(t, "object-store")
	in.Defaults.Guard = true
	job := child[batchv1.CronJob](t, in, "cronjobs", "sessions-backup").Spec.JobTemplate.Spec.Template.Spec
	r, err := desired.Application(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	driver := pod(t, r, "driver").Spec
	guard := driver.InitContainers[len(driver.InitContainers)-1]
	for _, p := range []struct {
		spec corev1.PodSpec
		c    corev1.Container
	}{{job, job.Containers[0]}, {driver, guard}} {
		source := func(path string) corev1.VolumeSource {
			i := slices.IndexFunc(p.spec.Volumes, func(v corev1.Volume) bool { return v.Name == mounts(p.c)[path] })
			if i < 0 {
				t.Fatalf("%s: nothing is mounted at %s: %v", p.c.Name, path, mounts(p.c))
			}
			return p.spec.Volumes[i].VolumeSource
		}
		if m := source("/etc/sparkpipeline/agent").ConfigMap; m == nil || m.Name != "sessions-agent" {
			t.Errorf("%s: the configuration is %+v", p.c.Name, m)
		}
		if s := source("/etc/sparkpipeline/ca").Secret; s == nil || s.SecretName != "minio-ca" || config.CAFile != "/etc/sparkpipeline/ca/ca.crt" {
			t.Errorf("%s: the authority is %+v", p.c.Name, s)
		}
		if want := []string{"/agent", p.c.Name, "--config", "/etc/sparkpipeline/agent/pipeline.json"}; !slices.Equal(p.c.Command, want) {
			t.Errorf("got the command %v, expected %v", p.c.Command, want)
		}
	}
	config := child[corev1.ConfigMap](t, in, "agentconfig", "sessions-agent").Data["pipeline.json"]
	parse(t, config)
}

// parse reads a configuration as the agent does.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The guard sees the checkpoint of a volume as the driver does, and the orders
// that the operator keeps.
func TestGuard(t *testing.T) {
	in := caseNamed(t, "minimal")
	in.Defaults.Guard = false
	r, err := desired.Application(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	if spec := pod(t, r, "driver").Spec; len(spec.InitContainers) != 0 || volumes(spec)["guard"] {
		t.Errorf("a guard is rendered that is switched off: %+v", spec.InitContainers)
	}
	in.Defaults.Guard = true
	if r, err = desired.Application(scheme(t), in); err != nil {
		t.Fatal(err)
	}
	spec := pod(t, r, "driver").Spec
	if len(spec.InitContainers) != 1 || len(pod(t, r, "executor").Spec.InitContainers) != 0 {
		t.Fatalf("got %+v", spec.InitContainers)
	}
	got := mounts(spec.InitContainers[0])
	if got["/mnt/checkpoints"] != "checkpoint" || got["/etc/sparkpipeline/guard"] != "guard" || !volumes(spec)["guard"] || volumes(spec)["checkpoint"] {
		t.Errorf("the guard mounts %v; the claim's volume is Spark's", got)
	}
}

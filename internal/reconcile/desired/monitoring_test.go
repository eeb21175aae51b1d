// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"encoding/json"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// The nine alerts of the reference architecture, under their names, with its
// thresholds, waits and severities.
func TestReferenceAlerts(t *testing.T) {
	want := []struct{ name, ends, wait, severity string }{
		{"SparkDriverDown", " == 0", "2m", "critical"},
		{"HighExecutorFailureRate", " > 0.1", "", "warning"},
		{"HighStreamingDelay", " / 1000 > 30", "2m", "warning"},
		{"HighTaskFailureRate", " > 1", "", "warning"},
		{"ExecutorMemoryPressure", ` > 0.9 and on (run) sparkpipeline_run_info{pipeline_namespace="data",pipeline="orders"}`, "5m", "warning"},
		{"JVMHeapPressure", " > 0.9", "5m", "warning"},
		// A pipeline that is suspended counts as one whose driver is ready, and has no run.
		{"NoExecutorsAvailable", ` == 1 and on (pipeline_namespace, pipeline) sparkpipeline_run_info{pipeline_namespace="data",pipeline="orders"}`, "3m", "critical"},
		{"CheckpointFailure", `, "command", "$1", "job_name", "orders-(backup|snapshot|drill)-[0-9]+")))`, "", "critical"},
		{"HighGCTime", " > 1", "5m", "warning"},
	}
	rules := child[monitoringv1.PrometheusRule](t, caseNamed(t, "minimal"), "alerts", "orders").Spec.Groups[0].Rules
	for i, w := range want {
		r := rules[i]
		wait := ""
		if r.For != nil {
			wait = string(*r.For)
		}
		if r.Alert != w.name || !strings.HasSuffix(r.Expr.String(), w.ends) || wait != w.wait || r.Labels["severity"] != w.severity {
			t.Errorf("alert %d is %s, %s, %q, %s; expected %+v", i, r.Alert, r.Expr.String(), wait, r.Labels["severity"], w)
		}
		for _, annotation := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", r.Alert, annotation)
			}
		}
	}
}

func TestThresholds(t *testing.T) {
	in := caseNamed(t, "minimal")
	in.Pipeline.Spec.Monitoring.Alerts.Thresholds = v1alpha1.AlertThresholds{ExecutorFailuresPerSecond: "0.25", StreamingDelay: "90s",
		TaskFailuresPerSecond: "4", ExecutorMemoryPercent: 85, HeapPercent: 7, GCTime: "1500ms"}
	in.Pipeline.Spec.Monitoring.Alerts.Disabled = []v1alpha1.AlertName{"SparkDriverDown", "NoExecutorsAvailable", "CheckpointFailure"}
	want := map[string]string{"HighExecutorFailureRate": " > 0.25", "HighStreamingDelay": " / 1000 > 90", "HighTaskFailureRate": " > 4",
		"ExecutorMemoryPressure": " > 0.85 and ", "JVMHeapPressure": " > 0.07", "HighGCTime": " > 1.5"}
	rules := child[monitoringv1.PrometheusRule](t, in, "alerts", "orders").Spec.Groups[0].Rules
	if len(rules) != len(want) {
		t.Errorf("got %d alerts, expected %d", len(rules), len(want))
	}
	for _, r := range rules {
		if w := want[r.Alert]; w == "" || !strings.Contains(r.Expr.String(), w) {
			t.Errorf("%s is %s, expected %q in it", r.Alert, r.Expr.String(), w)
		}
	}
	for _, a := range []v1alpha1.AlertName{"HighExecutorFailureRate", "HighStreamingDelay", "HighTaskFailureRate", "ExecutorMemoryPressure", "JVMHeapPressure", "HighGCTime"} {
		in.Pipeline.Spec.Monitoring.Alerts.Disabled = append(in.Pipeline.Spec.Monitoring.Alerts.Disabled, a)
	}
	if has(t, in, "alerts", "orders") {
		t.Error("there is a PrometheusRule without rules")
	}
}

// Warnings go to Slack and critical alerts to PagerDuty, of this pipeline alone;
// what has no receiver goes nowhere.
func TestRoutes(t *testing.T) {
	in := caseNamed(t, "full")
	a := in.Pipeline.Spec.Monitoring.Alertmanager
	for what, c := range map[string]struct {
		alertmanager v1alpha1.AlertmanagerSpec
		want         map[string]string
	}{
		"both":      {a, map[string]string{"warning": "slack", "critical": "pagerduty"}},
		"Slack":     {v1alpha1.AlertmanagerSpec{Slack: a.Slack}, map[string]string{"warning": "slack"}},
		"PagerDuty": {v1alpha1.AlertmanagerSpec{PagerDuty: a.PagerDuty}, map[string]string{"critical": "pagerduty"}},
	} {
		in.Pipeline.Spec.Monitoring.Alertmanager = c.alertmanager
		spec := child[monitoringv1alpha1.AlertmanagerConfig](t, in, "alertmanager", "orders-full").Spec
		if m := spec.Route.Matchers; spec.Route.Receiver != "nobody" || len(m) != 2 || m[0].Value != "orders-full" || m[1].Value != "data" ||
			*spec.Route.GroupWait != "10s" || *spec.Route.RepeatInterval != "12h" {
			t.Errorf("%s: got %+v", what, spec.Route)
		}
		got := map[string]string{}
		for _, raw := range spec.Route.Routes {
			var r monitoringv1alpha1.Route
			if err := json.Unmarshal(raw.Raw, &r); err != nil {
				t.Fatal(err)
			}
			got[r.Matchers[0].Value] = r.Receiver
		}
		if diff := difference(c.want, got); diff != "" || len(spec.Receivers) != len(c.want)+1 {
			t.Errorf("%s: %s; receivers %+v", what, diff, spec.Receivers)
		}
	}
	in.Pipeline.Spec.Monitoring.Alertmanager = v1alpha1.AlertmanagerSpec{}
	if has(t, in, "alertmanager", "orders-full") {
		t.Error("routes to nobody are rendered")
	}
}

// Prometheus knows no fraction of a second in another unit.
func TestScrapeInterval(t *testing.T) {
	for interval, want := range map[v1alpha1.Duration]monitoringv1.Duration{"30s": "30s", "1500ms": "1500ms", "2m": "120s", "1m30s": "90s"} {
		in := caseNamed(t, "full")
		in.Pipeline.Spec.Monitoring.ScrapeInterval = interval
		service := child[monitoringv1.ServiceMonitor](t, in, "monitors", "orders-full").Spec
		if len(service.Endpoints) != 2 || service.Endpoints[0].Interval != want || service.Endpoints[1].Interval != want {
			t.Errorf("%s: got %+v", interval, service.Endpoints)
		}
	}
}

// Six panels, each with what Grafana needs to show it, in no other panel's place.
func TestDashboard(t *testing.T) {
	want := []string{"Active executors", "Processing delay", "Task failure rate", "Memory utilisation", "GC overhead", "Checkpoint success rate"}
	in := caseNamed(t, "minimal")
	config := child[corev1.ConfigMap](t, in, "dashboard", "orders-dashboard")
	var d struct {
		UID, Title string
		Panels     []struct {
			ID          int
			Title, Type string
			GridPos     struct{ X, Y, W, H int }
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(config.Data["orders.json"]), &d); err != nil {
		t.Fatal(err)
	}
	if config.Labels["grafana_dashboard"] != "1" || d.Title != "SparkPipeline data/orders" || len(d.UID) > 40 || len(d.Panels) != len(want) {
		t.Fatalf("got %+v", d)
	}
	places := map[[2]int]bool{}
	for i, p := range d.Panels {
		place := [2]int{p.GridPos.X, p.GridPos.Y}
		if p.Title != want[i] || p.ID != i+1 || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) != 1 || p.Targets[0].Expr == "" ||
			places[place] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d is %+v", i, p)
		}
		places[place] = true
	}
	other := caseNamed(t, "minimal")
	other.Pipeline.Namespace = "stage"
	if strings.Contains(child[corev1.ConfigMap](t, other, "dashboard", "orders-dashboard").Data["orders.json"], d.UID) {
		t.Error("two pipelines of one name have the same dashboard")
	}
}

func TestPodsOfSpark(t *testing.T) {
	p := caseNamed(t, "minimal").Pipeline
	if got := desired.SparkPodSelector(p); got != "sparkpipeline.dev/pipeline=orders" {
		t.Errorf("got the selector %s", got)
	}
	set := desired.ExecutorSetName("spark-0123")
	if set != "spark-s-spark-0123-0" || !desired.IsExecutorSet(set) || desired.IsExecutorSet("web") {
		t.Errorf("got the name %s", set)
	}
}

// Pruning leaves the rendering alone that was healthy last, by the name that it
// was stored under.
func TestKeptRevision(t *testing.T) {
	in := caseNamed(t, "running")
	if kept := desired.KeptRevision(in.Pipeline); kept != nil {
		t.Errorf("nothing was healthy, and %s is kept", kept.GetName())
	}
	in.Pipeline.Status.Application = &v1alpha1.ApplicationStatus{LastHealthyRendering: in.Facts.Healthy.Digest}
	kept := desired.KeptRevision(in.Pipeline)
	if kept == nil || kept.GetKind() != "ControllerRevision" || kept.GetNamespace() != "data" || !has(t, in, "revision", kept.GetName()) {
		t.Errorf("got %v", kept)
	}
}

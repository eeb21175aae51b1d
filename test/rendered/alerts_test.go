// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// Scrapes and evaluations, and how long a scenario lasts.
const (
	interval = 30 * time.Second
	lasts    = 20 * time.Minute
)

// firing are the times in which alerts of a name fire: "2m0s.." from two minutes on,
// "0s..4m0s" until at four minutes it fires no more.
type firing map[string]string

// prometheus is one that has scraped these series.
func prometheus(t *testing.T, series map[string]string) rules.QueryFunc {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: plain()})
	var load strings.Builder
	load.WriteString("load 30s\n")
	for _, s := range slices.Sorted(maps.Keys(series)) {
		fmt.Fprintf(&load, "  %s %s\n", s, series[s])
	}
	return rules.EngineQueryFunc(engine, promqltest.LoadedStorage(t, load.String()))
}

// play evaluates rules over series for as long as a scenario lasts.
func play(t *testing.T, r rendering, series map[string]string) firing {
	t.Helper()
	ask := prometheus(t, series)
	out := firing{}
	for _, rule := range r.rules(t) {
		expr, err := plain().ParseExpr(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		alerting := rules.NewAlertingRule(rule.Alert, expr, time.Duration(rule.For), 0, labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", true, quiet)
		was := false
		for at := time.Duration(0); at <= lasts; at += interval {
			now := time.Unix(0, 0).Add(at).UTC()
			if _, err := alerting.Eval(context.Background(), 0, now, ask, nil, 0); err != nil {
				t.Fatalf("%s at %s: %v", rule.Alert, at, err)
			}
			alerting.SetEvaluationTimestamp(now) // A rule that was never evaluated has no state.
			is := alerting.State() == rules.StateFiring
			switch {
			case is && !was:
				out[rule.Alert] = strings.TrimPrefix(out[rule.Alert]+" "+at.String()+"..", " ")
				checkRoute(t, r, alerting)
			case was && !is:
				out[rule.Alert] += at.String()
			}
			was = is
		}
	}
	return out
}

// checkRoute looks at the labels by which Alertmanager routes and groups.
func checkRoute(t *testing.T, r rendering, rule *rules.AlertingRule) {
	t.Helper()
	p := r.in.Pipeline
	critical := []string{"SparkDriverDown", "NoExecutorsAvailable", "CheckpointFailure"}
	severity := "warning"
	if slices.Contains(critical, rule.Name()) {
		severity = "critical"
	}
	for _, a := range rule.ActiveAlerts() {
		for name, want := range map[string]string{"alertname": rule.Name(), "severity": severity,
			"pipeline": p.Name, "pipeline_namespace": p.Namespace, "namespace": p.WorkloadNamespace()} {
			if got := a.Labels.Get(name); got != want {
				t.Errorf("%s carries %s=%q, expected %q", rule.Name(), name, got, want)
			}
		}
		// Who was scraped changes with each restart of a pod: as a part of an alert's
		// identity it would make the same alert a new one.
		for _, name := range []string{"instance", "pod"} {
			if a.Labels.Has(name) && rule.Name() != "ExecutorMemoryPressure" {
				t.Errorf("%s carries %s=%q", rule.Name(), name, a.Labels.Get(name))
			}
		}
	}
}

const (
	run      = "spark-52867eb353dd47c5b937c886c822331a"
	otherRun = "spark-7e4311e91d194579b99d2f9fc9479f57"
)

// Series of the pipeline data/orders, with the labels that they have once scraped.
func own(metric string) string {
	return metric + `{pipeline_namespace="data",pipeline="orders",namespace="operators",pod="manager-a",instance="10.1.0.1:8443"}`
}

func ofRun(id string) string {
	return `sparkpipeline_run_info{pipeline_namespace="data",pipeline="orders",run="` + id + `",namespace="operators",pod="manager-a",instance="10.1.0.1:8443"}`
}

func driver(metric string) string {
	return metric + `{namespace="data",service="orders-web",job="orders-web",pod="orders-driver",instance="10.1.0.2:4040",type="gauges"}`
}

func executors(metric, id string) string {
	return metric + `{namespace="data",service="orders-web",job="orders-web",pod="orders-driver",instance="10.1.0.2:4040",application_id="` + run + `",executor_id="` + id + `"}`
}

func memoryOf(id, ordinal string) (used, limit string) {
	pod := `namespace="data",pod="spark-s-` + id + `-0-` + ordinal + `",container="spark-kubernetes-executor"`
	return `container_memory_working_set_bytes{` + pod + `,node="n1",image="spark"}`, `kube_pod_container_resource_limits{` + pod + `,resource="memory",unit="byte"}`
}

func job(metric, name string) string {
	more := ""
	if metric == "kube_job_failed" {
		more = `,condition="true"`
	}
	return metric + `{namespace="data",job_name="` + name + `"` + more + `,instance="10.1.0.3:8080"}`
}

// healthy is a run of three executors with nothing wrong.
func healthy() map[string]string {
	const gib = 1 << 30
	s := map[string]string{
		own("sparkpipeline_ready"):                                        "1x40",
		own("sparkpipeline_driver_ready"):                                 "1x40",
		own("sparkpipeline_executors_ready"):                              "3x40",
		own("sparkpipeline_executors_wanted"):                             "3x40",
		own("sparkpipeline_executor_failures_total"):                      "7x40",
		own("sparkpipeline_checkpoint_healthy"):                           "1x40",
		ofRun(run):                                                        "1x40",
		driver("metrics_spark_driver_jvm_heap_usage_Value"):               "0.16x40",
		driver("metrics_spark_driver_spark_streaming_agg_latency_Value"):  "862x40",
		driver("metrics_spark_driver_spark_streaming_raw_latency_Value"):  "320x40",
		driver("metrics_spark_driver_spark_streaming_agg_latency_Number"): "862x40",
		job("kube_job_status_start_time", "orders-backup-29300000"):       "100x40",
		job("kube_job_status_completion_time", "orders-backup-29300000"):  "160x40",
		job("kube_job_failed", "orders-backup-29300000"):                  "0x40",
		job("kube_job_status_succeeded", "orders-backup-29300000"):        "1x40",
		job("kube_job_status_failed", "orders-backup-29300000"):           "0x40",
	}
	for _, id := range []string{"driver", "1", "2", "3"} {
		s[executors("metrics_executor_failedTasks_total", id)] = "0x40"
		s[executors("metrics_executor_MinorGCTime_seconds_total", id)] = "0+0.2x40"
		s[executors("metrics_executor_MajorGCTime_seconds_total", id)] = "0.4x40"
		s[executors("metrics_executor_MinorGCCount_total", id)] = "0+4x40"
		s[executors("metrics_executor_MajorGCCount_total", id)] = "2x40"
	}
	for _, ordinal := range []string{"0", "1", "2"} {
		used, limit := memoryOf(run, ordinal)
		s[used], s[limit] = fmt.Sprintf("%dx40", 6*gib), fmt.Sprintf("%dx40", 10*gib)
	}
	return s
}

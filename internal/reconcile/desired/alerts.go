// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Names of the operator's own metrics. The manager exports them with the labels
// pipeline_namespace and pipeline.
const (
	MetricReady            = "sparkpipeline_ready"
	MetricDriverReady      = "sparkpipeline_driver_ready"
	MetricExecutorsReady   = "sparkpipeline_executors_ready"
	MetricExecutorsWanted  = "sparkpipeline_executors_wanted"
	MetricExecutorFailures = "sparkpipeline_executor_failures_total"
	MetricRestarts         = "sparkpipeline_restarts_total"
	MetricBackup           = "sparkpipeline_backup_configured"
	// MetricRun ties the id of the live run (label run) to its pipeline, so that
	// metrics of pods, which know only the run, can be told apart.
	MetricRun = "sparkpipeline_run_info"
	// MetricCheckpointHealthy is exported by the agent that watches the
	// checkpoint.
	MetricCheckpointHealthy = "sparkpipeline_checkpoint_healthy"
)

// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=prometheusrules,verbs=get;list;watch;create;patch;delete

type alert struct {
	name     v1alpha1.AlertName
	expr     string
	wait     string
	severity string
	summary  string
	says     string
}

// alerts are the nine alerts of the reference architecture, each over this
// pipeline alone.
func alerts(in Input) ([]Object, error) {
	p := in.Pipeline
	var rules []monitoringv1.Rule
	for _, a := range alertsOf(p) {
		if slices.Contains(p.Spec.Monitoring.Alerts.Disabled, a.name) {
			continue
		}
		r := monitoringv1.Rule{
			Alert: string(a.name), Expr: intstr.FromString(a.expr),
			// Alertmanager's operator lets a route of a namespace see only alerts that
			// carry that namespace; the series have the one of who was scraped, or none.
			Labels: map[string]string{"severity": a.severity, "namespace": p.WorkloadNamespace(),
				"pipeline": p.Name, "pipeline_namespace": p.Namespace},
			Annotations: map[string]string{
				"summary":     a.summary + " (" + p.Namespace + "/" + p.Name + ")",
				"description": a.says,
				"runbook_url": "https://sparkpipeline.dev/runbooks/" + string(a.name),
			},
		}
		if a.wait != "" {
			r.For = new(monitoringv1.Duration(a.wait))
		}
		rules = append(rules, r)
	}
	if rules == nil {
		return nil, nil
	}
	return []Object{&monitoringv1.PrometheusRule{ObjectMeta: monitoringMeta(in), Spec: monitoringv1.PrometheusRuleSpec{
		Groups: []monitoringv1.RuleGroup{{Name: "sparkpipeline." + p.Namespace + "." + p.Name, Rules: rules}}}}}, nil
}

func alertsOf(p *v1alpha1.SparkPipeline) []alert {
	q := queriesOf(p)
	t := p.Spec.Monitoring.Alerts.Thresholds
	return []alert{
		{"SparkDriverDown", q.told("max", MetricDriverReady) + " == 0", "2m", "critical",
			"The Spark driver is down", "No driver has run for two minutes. kubectl describe sp says what is waited for."},
		{"HighExecutorFailureRate", fmt.Sprintf("sum by (pipeline_namespace, pipeline) (rate(%s[5m])) > %s", q.own(MetricExecutorFailures), t.ExecutorFailuresPerSecond), "", "warning",
			"Executors fail often", "Executors failed more often than " + string(t.ExecutorFailuresPerSecond) + " times a second over five minutes."},
		{"HighStreamingDelay", fmt.Sprintf("max(%s) / 1000 > %s", q.latency(), seconds(t.StreamingDelay)), "2m", "warning",
			"A streaming query is slow", "The last batch of a query took longer than " + string(t.StreamingDelay) + "."},
		{"HighTaskFailureRate", fmt.Sprintf("sum(rate(%s[5m])) > %s", q.driver("metrics_executor_failedTasks_total"), t.TaskFailuresPerSecond), "", "warning",
			"Tasks fail often", "Tasks failed more often than " + string(t.TaskFailuresPerSecond) + " times a second over five minutes."},
		{"ExecutorMemoryPressure", q.memory() + " > " + percent(t.ExecutorMemoryPercent) + " and on (run) " + q.own(MetricRun), "5m", "warning",
			"An executor is close to its memory limit", fmt.Sprintf("An executor has used more than %d %% of its memory limit for five minutes; the kernel ends it at the limit.", t.ExecutorMemoryPercent)},
		{"JVMHeapPressure", fmt.Sprintf("max(%s) > %s", q.driver("metrics_spark_driver_jvm_heap_usage_Value"), percent(t.HeapPercent)), "5m", "warning",
			"The driver's heap is almost full", fmt.Sprintf("The driver has used more than %d %% of its heap for five minutes.", t.HeapPercent)},
		{"NoExecutorsAvailable", fmt.Sprintf("%[1]s == 0 and %[4]s %[2]s == 1 and %[4]s %[3]s", q.told("max", MetricExecutorsReady), q.own(MetricDriverReady), q.own(MetricRun), "on (pipeline_namespace, pipeline)"), "3m", "critical",
			"No executor is ready", "The driver runs and has had no executor for three minutes: nothing is processed."},
		{"CheckpointFailure", q.told("min", MetricCheckpointHealthy) + " == 0 or " + q.failedJobs(), "", "critical",
			"The checkpoint or its backup failed", "The checkpoint does not verify, or a backup, snapshot or drill of it has failed and none of its kind has succeeded since."},
		{"HighGCTime", q.collections() + " > " + seconds(t.GCTime), "5m", "warning",
			"Garbage collections are long", "A garbage collection took longer than " + string(t.GCTime) + " on average over five minutes."},
	}
}

// queries build the selectors of one pipeline.
type queries struct{ namespace, pipeline, workload string }

func queriesOf(p *v1alpha1.SparkPipeline) queries {
	return queries{namespace: p.Namespace, pipeline: p.Name, workload: p.WorkloadNamespace()}
}

// jobs matches the names of the jobs that guard the checkpoint.
func (q queries) jobs() string {
	return regexp.QuoteMeta(q.pipeline) + "-(backup|snapshot|drill)-[0-9]+"
}

// own selects a metric of the operator.
func (q queries) own(metric string) string {
	return fmt.Sprintf("%s{pipeline_namespace=%s,pipeline=%s}", metric, promString(q.namespace), promString(q.pipeline))
}

// told is a metric of the operator whichever of its pods tells it. With the address
// of that pod, an alert would be another one, and wait anew, when that changes.
func (q queries) told(aggregation, metric string) string {
	return aggregation + " by (pipeline_namespace, pipeline) (" + q.own(metric) + ")"
}

// driver selects a metric that the driver serves.
func (q queries) driver(metric string) string {
	return fmt.Sprintf("%s{namespace=%s,service=%s}", metric, promString(q.workload), promString(q.pipeline+"-web"))
}

// latency selects the duration of the last batch, in milliseconds, of every query.
// The name of the query is part of the metric's name.
func (q queries) latency() string {
	return fmt.Sprintf(`{__name__=~"metrics_spark_driver_spark_streaming_.+_latency_Value",namespace=%s,service=%s}`, promString(q.workload), promString(q.pipeline+"-web"))
}

// failedJobs are the commands of the agent of which a job has failed and none has
// succeeded since. Failed jobs stay to be looked at, so that there is one says
// nothing of today.
func (q queries) failedJobs() string {
	jobs := fmt.Sprintf("namespace=%s,job_name=~%s", promString(q.workload), promString(q.jobs()))
	newest := func(times string) string {
		return fmt.Sprintf(`max by (command) (label_replace(%s, "command", "$1", "job_name", %s))`, times, promString(q.jobs()))
	}
	failed := newest(fmt.Sprintf(`kube_job_status_start_time{%[1]s} and on (namespace, job_name) kube_job_failed{%[1]s,condition="true"} == 1`, jobs))
	succeeded := newest(fmt.Sprintf("kube_job_status_completion_time{%s}", jobs))
	return fmt.Sprintf("%[1]s > (%[2]s or 0 * %[1]s)", failed, succeeded)
}

// memory is the share of its limit that each executor uses, with the run as label.
func (q queries) memory() string {
	container := fmt.Sprintf("namespace=%s,container=%s", promString(q.workload), promString(executorContainer))
	return fmt.Sprintf(`label_replace(max by (namespace, pod) (container_memory_working_set_bytes{%s}) / max by (namespace, pod) (kube_pod_container_resource_limits{%s,resource="memory"}), "run", "$1", "pod", "spark-s-(spark-[0-9a-f]+)-[0-9]+-[0-9]+")`, container, container)
}

// collections is the mean duration of a garbage collection, in seconds, over all
// executors and the driver.
func (q queries) collections() string {
	sum := func(a, b string) string {
		return fmt.Sprintf("(sum by (executor_id) (rate(%s[5m])) + sum by (executor_id) (rate(%s[5m])))", q.driver(a), q.driver(b))
	}
	return sum("metrics_executor_MinorGCTime_seconds_total", "metrics_executor_MajorGCTime_seconds_total") + " / " +
		sum("metrics_executor_MinorGCCount_total", "metrics_executor_MajorGCCount_total")
}

// seconds writes a duration as PromQL compares it.
func seconds(d v1alpha1.Duration) string {
	return strconv.FormatFloat(d.Duration().Seconds(), 'f', -1, 64)
}

func percent(n int32) string { return strconv.FormatFloat(float64(n)/100, 'f', -1, 64) }

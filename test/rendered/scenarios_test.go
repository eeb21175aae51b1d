// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"maps"
	"strings"
	"testing"
)

// scenario is what differs from a healthy run, and which alerts it sets off.
// "stale" ends a series as Prometheus does when its target is gone.
type scenario struct {
	what   string
	series map[string]string
	want   firing
}

func memoryUse(id, ordinal, gibs string) map[string]string {
	used, limit := memoryOf(id, ordinal)
	return map[string]string{used: gibs, limit: "100x40"}
}

func collections(time, count string) map[string]string {
	return map[string]string{executors("metrics_executor_MinorGCTime_seconds_total", "2"): time, executors("metrics_executor_MinorGCCount_total", "2"): count}
}

func failedJob(name, start string) map[string]string {
	return map[string]string{
		job("kube_job_status_start_time", name): start + "x40", job("kube_job_failed", name): "1x40",
		job("kube_job_status_succeeded", name): "0x40", job("kube_job_status_failed", name): "1x40",
	}
}

func succeededJob(name, start, end string) map[string]string {
	return map[string]string{job("kube_job_status_start_time", name): start, job("kube_job_status_completion_time", name): end, job("kube_job_failed", name): "0x40"}
}

func also(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// otherManager is a series of the replica that leads after a fail-over.
func otherManager(series string) string {
	return strings.NewReplacer("manager-a", "manager-b", "10.1.0.1", "10.1.0.9").Replace(series)
}

var scenarios = []scenario{
	{"nothing is wrong", nil, firing{}},
	{"nothing is scraped", map[string]string{}, firing{}},

	{"no driver", map[string]string{own("sparkpipeline_driver_ready"): "0x40"}, firing{"SparkDriverDown": "2m0s.."}},
	{"no driver and no executors", map[string]string{own("sparkpipeline_driver_ready"): "0x40", own("sparkpipeline_executors_ready"): "0x40"}, firing{"SparkDriverDown": "2m0s.."}},
	{"a restart of the driver in 90 s", map[string]string{own("sparkpipeline_driver_ready"): "0x2 1x37"}, firing{}},
	{"a driver that is back after five minutes", map[string]string{own("sparkpipeline_driver_ready"): "0x9 1x30"}, firing{"SparkDriverDown": "2m0s..5m0s"}},
	{"no driver, and another manager leads from the second minute on", map[string]string{
		own("sparkpipeline_driver_ready"): "0x2 stale", otherManager(own("sparkpipeline_driver_ready")): "_x3 0x37"}, firing{"SparkDriverDown": "2m0s.."}},
	{"a manager that no longer leads still says the driver is down", map[string]string{
		own("sparkpipeline_driver_ready"): "0x40", otherManager(own("sparkpipeline_driver_ready")): "1x40"}, firing{}},

	// 0.1 a second are 30 in five minutes.
	{"3.2 executors fail each 30 s", map[string]string{own("sparkpipeline_executor_failures_total"): "0+3.2x40"}, firing{"HighExecutorFailureRate": "5m0s.."}},
	{"2.9 executors fail each 30 s", map[string]string{own("sparkpipeline_executor_failures_total"): "0+2.9x40"}, firing{}},
	{"all executors fail once", map[string]string{own("sparkpipeline_executor_failures_total"): "7x10 27x29"}, firing{}},
	{"executors stop to fail", map[string]string{own("sparkpipeline_executor_failures_total"): "0+6x20 120x19"}, firing{"HighExecutorFailureRate": "3m0s..12m30s"}},

	{"batches of 30.001 s", map[string]string{driver("metrics_spark_driver_spark_streaming_agg_latency_Value"): "30001x40"}, firing{"HighStreamingDelay": "2m0s.."}},
	{"batches of 30 s", map[string]string{driver("metrics_spark_driver_spark_streaming_agg_latency_Value"): "30000x40"}, firing{}},
	{"one slow batch", map[string]string{driver("metrics_spark_driver_spark_streaming_agg_latency_Value"): "862x3 45000x2 862x34"}, firing{}},
	{"batches of the second query are slow", map[string]string{driver("metrics_spark_driver_spark_streaming_raw_latency_Value"): "862x3 45000x36"}, firing{"HighStreamingDelay": "4m0s.."}},
	{"a query with underscores in its name is slow", map[string]string{driver("metrics_spark_driver_spark_streaming_orders_by_day_latency_Value"): "45000x40"}, firing{"HighStreamingDelay": "2m0s.."}},
	{"a watermark is a large number", map[string]string{driver("metrics_spark_driver_spark_streaming_agg_eventTime_watermark_Value"): "1790000000000x40"}, firing{}},
	{"a slow query of a driver that is gone", map[string]string{driver("metrics_spark_driver_spark_streaming_agg_latency_Value"): "45000x9 stale"}, firing{"HighStreamingDelay": "2m0s..5m0s"}},

	// 1 a second are 300 in five minutes.
	{"two executors fail 20 tasks each 30 s", map[string]string{executors("metrics_executor_failedTasks_total", "1"): "0+20x40", executors("metrics_executor_failedTasks_total", "2"): "0+20x40"},
		firing{"HighTaskFailureRate": "4m0s.."}},
	{"two executors fail 14 tasks each 30 s", map[string]string{executors("metrics_executor_failedTasks_total", "1"): "0+14x40", executors("metrics_executor_failedTasks_total", "2"): "0+14x40"}, firing{}},

	{"an executor at 91 %", memoryUse(run, "1", "91x40"), firing{"ExecutorMemoryPressure": "5m0s.."}},
	{"an executor at 90 %", memoryUse(run, "1", "90x40"), firing{}},
	{"an executor at 99 % for four minutes", memoryUse(run, "1", "99x8 60x31"), firing{}},
	{"an executor of another run at 99 %", memoryUse(otherRun, "1", "99x40"), firing{}},
	{"an executor that was scaled in at 99 %", memoryUse(run, "7", "99x20 stale"), firing{"ExecutorMemoryPressure": "5m0s..10m30s"}},

	{"91 % of the heap", map[string]string{driver("metrics_spark_driver_jvm_heap_usage_Value"): "0.91x40"}, firing{"JVMHeapPressure": "5m0s.."}},
	{"90 % of the heap", map[string]string{driver("metrics_spark_driver_jvm_heap_usage_Value"): "0.9x40"}, firing{}},
	{"a heap that is collected every four minutes", map[string]string{driver("metrics_spark_driver_jvm_heap_usage_Value"): "0.95x7 0.3 0.95x7 0.3 0.95x7 0.3 0.95x7 0.3 0.95x7"}, firing{}},

	{"no executors", map[string]string{own("sparkpipeline_executors_ready"): "0x40"}, firing{"NoExecutorsAvailable": "3m0s.."}},
	{"executors that need two minutes to start", map[string]string{own("sparkpipeline_executors_ready"): "0x3 3x36"}, firing{}},
	{"no executors, and another manager leads from the second minute on", map[string]string{
		own("sparkpipeline_executors_ready"): "0x2 stale", otherManager(own("sparkpipeline_executors_ready")): "_x3 0x37"}, firing{"NoExecutorsAvailable": "3m0s.."}},
	{"a pipeline that is suspended", map[string]string{own("sparkpipeline_executors_ready"): "0x40", ofRun(run): "stale"}, firing{}},

	{"a checkpoint that does not verify", map[string]string{own("sparkpipeline_checkpoint_healthy"): "1x3 0x36"}, firing{"CheckpointFailure": "2m0s.."}},
	{"a checkpoint that was repaired", map[string]string{own("sparkpipeline_checkpoint_healthy"): "0x9 1x30"}, firing{"CheckpointFailure": "0s..5m0s"}},
	{"a backup failed after one that succeeded", failedJob("orders-backup-29300001", "200"), firing{"CheckpointFailure": "0s.."}},
	{"a backup failed before one that succeeded", failedJob("orders-backup-29299999", "20"), firing{}},
	{"the first snapshot ever failed", failedJob("orders-snapshot-29300001", "200"), firing{"CheckpointFailure": "0s.."}},
	{"a drill failed", failedJob("orders-drill-29300001", "200"), firing{"CheckpointFailure": "0s.."}},
	{"a snapshot failed, and a backup succeeded since", also(failedJob("orders-snapshot-29300001", "120")), firing{"CheckpointFailure": "0s.."}},
	{"a backup failed, and the next one succeeds after five minutes", also(failedJob("orders-backup-29300001", "200"), succeededJob("orders-backup-29300002", "_x9 300x30", "_x10 400x29")),
		firing{"CheckpointFailure": "0s..5m0s"}},
	{"a backup failed, and the next one runs", also(failedJob("orders-backup-29300001", "200"), map[string]string{job("kube_job_status_start_time", "orders-backup-29300002"): "300x40"}),
		firing{"CheckpointFailure": "0s.."}},
	{"an archive failed", failedJob("orders-archive-29300001", "200"), firing{}},
	{"a job of the user failed", failedJob("orders-import-29300001", "200"), firing{}},

	{"collections of 1.5 s", collections("0+3x40", "0+2x40"), firing{"HighGCTime": "5m30s.."}},
	{"collections of 0.9 s", collections("0+1.8x40", "0+2x40"), firing{}},
	{"no collections", collections("5x40", "2x40"), firing{}},
	{"one long collection", collections("0x3 9x36", "0x3 1x36"), firing{}},
	{"many short collections beside few long ones", map[string]string{
		executors("metrics_executor_MinorGCTime_seconds_total", "2"): "0+1x40", executors("metrics_executor_MinorGCCount_total", "2"): "0+10x40",
		executors("metrics_executor_MajorGCTime_seconds_total", "2"): "0+4x40", executors("metrics_executor_MajorGCCount_total", "2"): "0+1x40"}, firing{}},
}

// run with what differs from a healthy run; nothing at all is there without series.
func (s scenario) all() map[string]string {
	if s.series != nil && len(s.series) == 0 {
		return nil
	}
	return also(healthy(), s.series)
}

// Each of the nine alerts fires when it should, and only then.
func TestAlertsFire(t *testing.T) {
	r := render(t, "minimal", input(t, "minimal"))
	fired := map[string]bool{}
	for _, s := range scenarios {
		got := play(t, r, s.all())
		if !maps.Equal(got, s.want) {
			t.Errorf("%s: got %v, expected %v", s.what, got, s.want)
		}
		for alert := range s.want {
			fired[alert] = true
		}
	}
	if len(fired) != 9 {
		t.Errorf("only %v fire in a scenario", fired)
	}
}

// In a namespace of its own, and under another name, a pipeline has the same alerts.
func TestAlertsOfADedicatedNamespace(t *testing.T) {
	r := render(t, "full", input(t, "full"))
	for _, s := range scenarios {
		got := play(t, r, renamed(s.all(), `pipeline="orders"`, `pipeline="orders-full"`, `namespace="data",service`, `namespace="orders-prod",service`,
			`{namespace="data"`, `{namespace="orders-prod"`, "orders-", "orders-full-"))
		if !maps.Equal(got, s.want) {
			t.Errorf("%s: got %v, expected %v", s.what, got, s.want)
		}
	}
}

// others are pipelines that have the same troubles at the same time.
var others = map[string][]string{
	"a pipeline whose name begins alike":   {`pipeline="orders"`, `pipeline="orders-eu"`, "orders-", "orders-eu-", run, "spark-e0e1"},
	"a pipeline whose name ends alike":     {`pipeline="orders"`, `pipeline="eu-orders"`, "orders-", "eu-orders-", run, "spark-e0e2"},
	"a pipeline that is called like a job": {`pipeline="orders"`, `pipeline="orders-backup"`, "orders-", "orders-backup-", run, "spark-e0e3"},
	"a namesake in another namespace":      {`namespace="data"`, `namespace="stage"`, run, "spark-e0e4"},
}

// What is wrong with others is no alert of this pipeline.
func TestAlertsOfOthers(t *testing.T) {
	r := render(t, "minimal", input(t, "minimal"))
	for _, s := range scenarios {
		series := healthy()
		for _, names := range others {
			series = also(series, renamed(also(healthy(), s.series), names...))
		}
		if want := 5 * len(healthy()); len(series) < want {
			t.Fatalf("%s: %d series, expected %d at least: others are not apart", s.what, len(series), want)
		}
		if got := play(t, r, series); len(got) != 0 {
			t.Errorf("%s: the same with others sets off %v", s.what, got)
		}
	}
}

func renamed(series map[string]string, names ...string) map[string]string {
	if series == nil {
		return nil
	}
	out := map[string]string{}
	change := strings.NewReplacer(names...)
	for k, v := range series {
		out[change.Replace(k)] = v
	}
	return out
}

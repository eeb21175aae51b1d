// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// Metrics are the operator's own gauges of pipelines. Each names its pipeline in
// two labels, so their number is bounded by the number of pipelines.
type Metrics struct {
	mu        sync.Mutex
	pipelines map[client.ObjectKey]figures
	failures  map[client.ObjectKey]*failureCount
}

type figures struct {
	ready, driver   float64
	executors, want float64
	restarts        float64
	backup          float64
	failures        float64
	run             string
}

// NewMetrics returns gauges without a pipeline.
func NewMetrics() *Metrics {
	return &Metrics{pipelines: map[client.ObjectKey]figures{}, failures: map[client.ObjectKey]*failureCount{}}
}

func gauge(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"pipeline_namespace", "pipeline"}, more...), nil)
}

var (
	readyGauge     = gauge(desired.MetricReady, "Whether the condition Ready of the SparkPipeline is True (1) or not (0).")
	driverGauge    = gauge(desired.MetricDriverReady, "Whether the driver of the SparkPipeline runs (1) or not (0). Present while there is no driver, too; 1 while suspended.")
	executorsGauge = gauge(desired.MetricExecutorsReady, "Number of executors that are ready.")
	wantedGauge    = gauge(desired.MetricExecutorsWanted, "Number of executors that are wanted.")
	restartsGauge  = gauge(desired.MetricRestarts, "Restarts of the application since it was first started.")
	failuresGauge  = gauge(desired.MetricExecutorFailures, "Executors that failed: restarted containers and failed pods.")
	backupGauge    = gauge(desired.MetricBackup, "Whether backups are configured and meet the objectives (1) or not (0).")
	runGauge       = gauge(desired.MetricRun, "The id that Spark gave to the live run, as a label; always 1.", "run")
)

// Describe sends the gauges' descriptions.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyGauge, driverGauge, executorsGauge, wantedGauge, restartsGauge, failuresGauge, backupGauge, runGauge} {
		ch <- d
	}
}

// Collect sends the gauges of all pipelines.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, f := range m.pipelines {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, more ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, append([]string{key.Namespace, key.Name}, more...)...)
		}
		send(readyGauge, prometheus.GaugeValue, f.ready)
		send(driverGauge, prometheus.GaugeValue, f.driver)
		send(executorsGauge, prometheus.GaugeValue, f.executors)
		send(wantedGauge, prometheus.GaugeValue, f.want)
		send(restartsGauge, prometheus.CounterValue, f.restarts)
		send(backupGauge, prometheus.GaugeValue, f.backup)
		if c := m.failures[key]; c != nil {
			send(failuresGauge, prometheus.CounterValue, c.total)
		}
		if f.run != "" {
			send(runGauge, prometheus.GaugeValue, 1, f.run)
		}
	}
}

// observe takes the figures of a pipeline from its status.
func (m *Metrics) observe(p *v1alpha1.SparkPipeline) {
	is := func(condition string) float64 {
		if meta.IsStatusConditionPresentAndEqual(p.Status.Conditions, condition, metav1.ConditionTrue) {
			return 1
		}
		return 0
	}
	f := figures{ready: is(v1alpha1.ConditionReady), driver: is(v1alpha1.ConditionApplicationRunning),
		backup: is(v1alpha1.ConditionBackupConfigured)}
	if e := p.Status.Executors; e != nil {
		f.executors, f.want = float64(e.Ready), float64(e.Wanted)
	}
	if a := p.Status.Application; a != nil {
		f.restarts, f.run = float64(a.Restarts), a.AppID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pipelines[client.ObjectKeyFromObject(p)] = f
}

// failureCount adds up the failures of executors. Each pod tells its own; those
// of a pod that is gone stay counted.
type failureCount struct {
	total float64
	pods  map[types.UID]int32
}

// count takes the failures that each pod of a run tells of.
func (m *Metrics) count(key client.ObjectKey, pods map[types.UID]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.failures[key]
	if c == nil {
		c = &failureCount{pods: map[types.UID]int32{}}
		m.failures[key] = c
	}
	for uid, n := range pods {
		c.total += float64(max(n-c.pods[uid], 0))
	}
	c.pods = pods
}

func (m *Metrics) forget(key client.ObjectKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pipelines, key)
	delete(m.failures, key)
}

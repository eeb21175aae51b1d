// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Metrics are the operator's own gauges of pipelines. Each has the two labels
// namespace and name, so their number is bounded by the number of pipelines.
type Metrics struct {
	mu        sync.Mutex
	pipelines map[client.ObjectKey]figures
}

type figures struct {
	ready, driver   float64
	executors, want float64
	restarts        float64
	backup          float64
}

// NewMetrics returns gauges without a pipeline.
func NewMetrics() *Metrics { return &Metrics{pipelines: map[client.ObjectKey]figures{}} }

func gauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("sparkpipeline_"+name, help, []string{"namespace", "name"}, nil)
}

var (
	readyGauge     = gauge("ready", "Whether the condition Ready of the SparkPipeline is True (1) or not (0).")
	driverGauge    = gauge("driver_ready", "Whether the driver of the SparkPipeline runs (1) or not (0). Present while there is no driver, too; 1 while suspended.")
	executorsGauge = gauge("executors_ready", "Number of executors that are ready.")
	wantedGauge    = gauge("executors_wanted", "Number of executors that are wanted.")
	restartsGauge  = gauge("restarts_total", "Restarts of the application since it was first started.")
	backupGauge    = gauge("backup_configured", "Whether backups are configured and meet the objectives (1) or not (0).")
)

// Describe sends the gauges' descriptions.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyGauge, driverGauge, executorsGauge, wantedGauge, restartsGauge, backupGauge} {
		ch <- d
	}
}

// Collect sends the gauges of all pipelines.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, f := range m.pipelines {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, key.Namespace, key.Name)
		}
		send(readyGauge, prometheus.GaugeValue, f.ready)
		send(driverGauge, prometheus.GaugeValue, f.driver)
		send(executorsGauge, prometheus.GaugeValue, f.executors)
		send(wantedGauge, prometheus.GaugeValue, f.want)
		send(restartsGauge, prometheus.CounterValue, f.restarts)
		send(backupGauge, prometheus.GaugeValue, f.backup)
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
		f.restarts = float64(a.Restarts)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pipelines[client.ObjectKeyFromObject(p)] = f
}

func (m *Metrics) forget(key client.ObjectKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pipelines, key)
}

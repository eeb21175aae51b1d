// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"strconv"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=servicemonitors;podmonitors,verbs=get;list;watch;create;patch;delete

// monitors have Prometheus scrape the driver's two endpoints of Spark, and the JMX
// exporter of all pods where that is on, and the agent that watches.
func monitors(in Input) ([]Object, error) {
	labels := map[string]string{}
	for k := range in.Pipeline.Spec.Monitoring.Labels {
		labels[k] = "" // The schema judges the value.
	}
	if err := checkNames("spec.monitoring.labels", metav1validation.ValidateLabels(labels, nil)); err != nil {
		return nil, err
	}
	p := in.Pipeline
	interval := promDuration(p.Spec.Monitoring.ScrapeInterval)
	endpoint := func(path string) monitoringv1.Endpoint {
		return monitoringv1.Endpoint{Port: "web", Path: path, Interval: interval}
	}
	service := &monitoringv1.ServiceMonitor{ObjectMeta: monitoringMeta(in), Spec: monitoringv1.ServiceMonitorSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{
			LabelPipeline: p.Name, LabelPipelineNamespace: p.Namespace, LabelComponent: "driver"}},
		// Without the slash at its end the first one answers with a redirect.
		Endpoints: []monitoringv1.Endpoint{endpoint("/metrics/prometheus/"), endpoint("/metrics/executors/prometheus")},
	}}
	out := []Object{service}
	if watches(in) {
		agent := &monitoringv1.PodMonitor{ObjectMeta: monitoringMeta(in), Spec: monitoringv1.PodMonitorSpec{
			Selector:            *selects(componentLabels(p, componentWatch)),
			PodMetricsEndpoints: []monitoringv1.PodMetricsEndpoint{{PortNumber: new(int32(PortWatch)), Path: "/metrics", Interval: interval}},
		}}
		agent.Name += "-" + commandWatch
		out = append(out, agent)
	}
	if p.Spec.Monitoring.JMX == v1alpha1.JMXDisabled {
		return out, nil
	}
	pods := &monitoringv1.PodMonitor{ObjectMeta: monitoringMeta(in), Spec: monitoringv1.PodMonitorSpec{
		Selector:            metav1.LabelSelector{MatchLabels: sparkSelector(p, "")},
		PodMetricsEndpoints: []monitoringv1.PodMetricsEndpoint{{PortNumber: new(int32(portJMX)), Path: "/metrics", Interval: interval}},
	}}
	return append(out, pods), nil
}

// monitoringMeta carries the labels by which the cluster's Prometheus selects.
func monitoringMeta(in Input) metav1.ObjectMeta {
	meta := named(in, "")
	for k, v := range in.Pipeline.Spec.Monitoring.Labels {
		if meta.Labels == nil {
			meta.Labels = map[string]string{}
		}
		meta.Labels[k] = string(v)
	}
	return meta
}

// jmx holds the rules of the JMX exporter: kubeflow's own predate Spark 3 and miss
// most of its beans.
func jmx(in Input) ([]Object, error) {
	if in.Pipeline.Spec.Monitoring.JMX == v1alpha1.JMXDisabled {
		return nil, nil
	}
	return []Object{&corev1.ConfigMap{ObjectMeta: named(in, "jmx"), Data: map[string]string{"rules.yaml": jmxExporterRules}}}, nil
}

const jmxExporterRules = `lowercaseOutputName: false
rules:
- pattern: 'metrics<name=(\S+)\.driver\.(BlockManager|DAGScheduler|jvm)\.(\S+), type=gauges><>Value'
  name: spark_driver_$2_$3
- pattern: 'metrics<name=(\S+)\.driver\.spark\.streaming\.(\S+)\.(\S+), type=gauges><>Value'
  name: spark_streaming_$3
  labels: {query: "$2"}
- pattern: 'metrics<name=(\S+)\.driver\.appStatus\.(\S+), type=counters><>Count'
  name: spark_app_$2_total
- pattern: 'metrics<name=(\S+)\.([0-9]+)\.executor\.(\S+), type=gauges><>Value'
  name: spark_executor_$3
  labels: {executor: "$2"}
- pattern: 'metrics<name=(\S+)\.([0-9]+)\.executor\.(\S+), type=counters><>Count'
  name: spark_executor_$3_total
  labels: {executor: "$2"}
`

// promDuration writes a span in Prometheus' notation, which knows no fractions.
func promDuration(d v1alpha1.Duration) monitoringv1.Duration {
	if span := d.Duration(); span%time.Second != 0 {
		return monitoringv1.Duration(strconv.FormatInt(span.Milliseconds(), 10) + "ms")
	}
	return monitoringv1.Duration(strconv.FormatInt(int64(d.Duration()/time.Second), 10) + "s")
}

// promString quotes a value for PromQL. The names of pipelines and namespaces need
// no quoting by their patterns; a rule must not rest on that.
func promString(s string) string { return strconv.Quote(s) }

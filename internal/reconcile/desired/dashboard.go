// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete

// dashboard is a dashboard of Grafana with the six panels of the reference
// architecture, in a ConfigMap that Grafana's sidecar finds by its label.
func dashboard(in Input) ([]Object, error) {
	p := in.Pipeline
	if p.Spec.Monitoring.Dashboards == v1alpha1.StateDisabled {
		return nil, nil
	}
	text, err := json.MarshalIndent(grafana(p), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the dashboard: %w", err)
	}
	meta := named(in, "dashboard")
	meta.Labels = map[string]string{"grafana_dashboard": "1"}
	return []Object{&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{p.Name + ".json": string(text)}}}, nil
}

type panel struct {
	ID          int               `json:"id"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Datasource  map[string]string `json:"datasource"`
	GridPos     map[string]int    `json:"gridPos"`
	FieldConfig map[string]any    `json:"fieldConfig"`
	Targets     []target          `json:"targets"`
}

type target struct {
	RefID        string            `json:"refId"`
	Expr         string            `json:"expr"`
	LegendFormat string            `json:"legendFormat,omitempty"`
	Format       string            `json:"format,omitempty"`
	Datasource   map[string]string `json:"datasource"`
}

// grafana is the model of the dashboard. The data source is a variable, so that
// the same dashboard works wherever it is loaded.
func grafana(p *v1alpha1.SparkPipeline) map[string]any {
	source := map[string]string{"type": "prometheus", "uid": "${datasource}"}
	q := queriesOf(p)
	var panels []panel
	add := func(title, description, kind, unit, expr, legend string) {
		n := len(panels)
		format := ""
		if kind == "heatmap" {
			format = "heatmap"
		}
		panels = append(panels, panel{
			ID: n + 1, Title: title, Description: description, Type: kind, Datasource: source,
			GridPos:     map[string]int{"h": 8, "w": 12, "x": 12 * (n % 2), "y": 8 * (n / 2)},
			FieldConfig: map[string]any{"defaults": map[string]any{"unit": unit}, "overrides": []any{}},
			Targets:     []target{{RefID: "A", Expr: expr, LegendFormat: legend, Format: format, Datasource: source}},
		})
	}
	rate := func(metric string) string { return "rate(" + q.driver(metric) + "[$__rate_interval])" }
	add("Active executors", "Executors that are ready.", "timeseries", "short", q.told("max", MetricExecutorsReady), "ready")
	add("Processing delay", "Duration of the last batch of each query.", "timeseries", "ms", q.latency(), "{{__name__}}")
	add("Task failure rate", "Tasks that fail, each second.", "timeseries", "ops", "sum("+rate("metrics_executor_failedTasks_total")+")", "failed")
	add("Memory utilisation", "Share of its memory limit that each executor uses.", "heatmap", "percentunit", q.memory()+" and on (run) "+q.own(MetricRun), "{{pod}}")
	add("GC overhead", "Share of time spent in garbage collection.", "timeseries", "percentunit",
		"sum by (executor_id) ("+rate("metrics_executor_MinorGCTime_seconds_total")+") + sum by (executor_id) ("+rate("metrics_executor_MajorGCTime_seconds_total")+")", "{{executor_id}}")
	add("Checkpoint success rate", "Share of backups, snapshots and drills that succeed.", "timeseries", "percentunit",
		fmt.Sprintf("sum(kube_job_status_succeeded{%[1]s}) / (sum(kube_job_status_succeeded{%[1]s}) + sum(kube_job_status_failed{%[1]s}))",
			fmt.Sprintf("namespace=%s,job_name=~%s", promString(p.WorkloadNamespace()), promString(q.jobs()))), "succeeded")
	return map[string]any{
		"uid":           "sp-" + identityHash(p),
		"title":         "SparkPipeline " + p.Namespace + "/" + p.Name,
		"tags":          []string{"sparkpipeline"},
		"schemaVersion": 39,
		"editable":      false,
		"refresh":       "30s",
		"time":          map[string]string{"from": "now-6h", "to": "now"},
		"templating": map[string]any{"list": []map[string]any{{
			"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}}},
		"panels": panels,
	}
}

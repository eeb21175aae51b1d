// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"sparkpipeline.dev/operator/internal/controller"
)

// sample is one line of a page.
type sample struct {
	labels labels.Labels
	value  float64
}

// recorded are the two pages that a ServiceMonitor has Prometheus scrape, of a
// driver of Spark 4.1 with two executors and a query named agg, read by Prometheus'
// own parser.
func recorded(t *testing.T) []sample {
	t.Helper()
	var out []sample
	for _, page := range []string{"driver-prometheus-servlet.txt", "executors-endpoint.txt"} {
		text, err := os.ReadFile(filepath.Join("testdata", "metrics", page))
		if err != nil {
			t.Fatal(err)
		}
		// Spark says of both that they are text/plain.
		p, err := textparse.New(text, "text/plain;charset=utf-8", labels.NewSymbolTable(), textparse.ParserOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", page, err)
			}
			if entry == textparse.EntrySeries {
				s := sample{}
				p.Labels(&s.labels)
				_, _, s.value = p.Series()
				out = append(out, s)
			}
		}
	}
	return out
}

// exported are the names of the operator's own metrics.
func exported() map[string]bool {
	described := make(chan *client.Desc, 100)
	controller.NewMetrics().Describe(described)
	close(described)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	out := map[string]bool{}
	for d := range described {
		out[name.FindStringSubmatch(d.String())[1]] = true
	}
	return out
}

// elsewhere are the metrics that come neither from Spark nor from the operator.
var elsewhere = map[string]string{
	"container_memory_working_set_bytes":  "the kubelet",
	"kube_pod_container_resource_limits":  "kube-state-metrics",
	"kube_job_failed":                     "kube-state-metrics",
	"kube_job_status_start_time":          "kube-state-metrics",
	"kube_job_status_completion_time":     "kube-state-metrics",
	"kube_job_status_succeeded":           "kube-state-metrics",
	"kube_job_status_failed":              "kube-state-metrics",
	"sparkpipeline_checkpoint_healthy":    agentMetric,
	"sparkpipeline_input_rows_per_second": adapterMetric,
	"sparkpipeline_kafka_lag":             adapterMetric,
}

// These nobody exports so far: an alert on one waits, and an HPA scales by its other
// metrics.
const (
	agentMetric   = "the agent, once it watches checkpoints"
	adapterMetric = "a metrics adapter of the cluster, by rules of its admin"
)

// Every metric that is asked for is there: a name that Spark does not serve is an
// alert that never fires.
func TestMetricsExist(t *testing.T) {
	spark, operator := map[string]bool{}, exported()
	for _, s := range recorded(t) {
		spark[s.labels.Get(labels.MetricName)] = true
	}
	asked := map[string]bool{}
	for _, r := range renderings(t) {
		for _, q := range r.queries(t) {
			for _, selector := range selectors(t, q.expr) {
				for _, m := range selector {
					if m.Name != labels.MetricName {
						continue
					}
					names := matching(m, spark)
					if m.Type == labels.MatchRegexp && !slices.Equal(names, []string{"metrics_spark_driver_spark_streaming_agg_latency_Value"}) {
						t.Errorf("%s: %s: %s stands for %q", r.name, q.name, m, names)
					}
					if m.Type == labels.MatchEqual {
						names = []string{m.Value}
					}
					for _, name := range names {
						asked[name] = true
						if !spark[name] && !operator[name] && elsewhere[name] == "" {
							t.Errorf("%s: %s: nobody serves %s", r.name, q.name, name)
						}
					}
				}
			}
		}
		for _, name := range r.scalingMetrics(t) {
			asked[name] = true
			if elsewhere[name] == "" {
				t.Errorf("%s: the HPA asks for %s, which nobody serves", r.name, name)
			}
		}
	}
	for name := range elsewhere {
		if !asked[name] {
			t.Errorf("%s is in the table, and nothing asks for it", name)
		}
	}
	// Seven of Spark, six of the operator, the table.
	if want := 7 + 4 + len(elsewhere); len(asked) != want {
		t.Errorf("%d metrics are asked for, expected %d: %v", len(asked), want, slices.Sorted(maps.Keys(asked)))
	}
}

func matching(m *labels.Matcher, names map[string]bool) []string {
	var out []string
	for name := range names {
		if m.Matches(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// scalingMetrics are the external metrics of the HPA.
func (r rendering) scalingMetrics(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, c := range r.children {
		if c.Object.GetKind() != "HorizontalPodAutoscaler" {
			continue
		}
		h := autoscalingv2.HorizontalPodAutoscaler{}
		into(t, c.Object.Object, &h)
		for _, m := range h.Spec.Metrics {
			if m.External != nil {
				out = append(out, m.External.Metric.Name)
			}
		}
	}
	return out
}

// scraped are the recorded pages with what Prometheus adds by the ServiceMonitor of
// data/orders, growing by nothing.
func scraped(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range recorded(t) {
		with := labels.NewBuilder(s.labels).Set("namespace", "data").Set("service", "orders-web").Set("job", "orders-web").
			Set("pod", "orders-driver").Set("instance", "10.1.0.2:4040").Del(labels.MetricName).Labels().String()
		out[s.labels.Get(labels.MetricName)+with] = strconv.FormatFloat(s.value, 'f', -1, 64) + "x40"
	}
	return out
}

// The pages as they are fill the panels and set nothing off, by their names and by
// their labels.
func TestRecordedPages(t *testing.T) {
	series := maps.Clone(healthy())
	maps.DeleteFunc(series, func(name, _ string) bool { return strings.HasPrefix(name, "metrics_") })
	series = also(series, scraped(t))
	r := render(t, "minimal", input(t, "minimal"))
	if got := play(t, r, series); len(got) != 0 {
		t.Errorf("a run that was recorded when it was well sets off %v", got)
	}
	want := map[string][]string{
		"panel Active executors":        {"3"},
		"panel Processing delay":        {"862"},
		"panel Task failure rate":       {"0"},
		"panel Memory utilisation":      {"0.6", "0.6", "0.6"},
		"panel GC overhead":             {"0", "0", "0"},
		"panel Checkpoint success rate": {"1"},
	}
	if got := show(t, r, series); !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("the panels show %v, expected %v", got, want)
	}
}

// Over the recorded labels, a mean of collections is one number for each process.
func TestCollectionsOfARecordedRun(t *testing.T) {
	series := scraped(t)
	for name, value := range series {
		at, _, _ := strings.Cut(value, "x")
		switch {
		case strings.HasPrefix(name, "metrics_executor_MinorGCTime"):
			series[name] = at + "+3x40"
		case strings.HasPrefix(name, "metrics_executor_MinorGCCount"):
			series[name] = at + "+2x40"
		}
	}
	r := render(t, "minimal", input(t, "minimal"))
	ask := prometheus(t, series)
	for _, rule := range r.rules(t) {
		if rule.Alert != "HighGCTime" {
			continue
		}
		got, err := ask(context.Background(), rule.Expr, time.Unix(600, 0).UTC())
		if err != nil || len(got) != 3 || got[0].F != 1.5 {
			t.Errorf("got %v, %v; expected 1.5 s for the driver and each of two executors", got, err)
		}
	}
}

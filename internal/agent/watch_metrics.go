// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/watch"
)

// queryMetric is one gauge of each query root. value says whether it is known.
type queryMetric struct {
	name, help string
	value      func(watch.QueryStatus) (float64, bool)
}

// pipelineMetric is one gauge of the pipeline.
type pipelineMetric struct {
	name, help string
	value      func(watch.Status) (float64, bool)
}

// unsound are the reasons that speak of the state itself and not of progress.
var unsound = []watch.Reason{watch.ReasonSecondWriter, watch.ReasonDamaged, watch.ReasonReplaced, watch.ReasonOlder}

// queryMetrics are the series of each query root.
var queryMetrics = []queryMetric{
	{"sparkpipeline_checkpoint_last_committed_batch", "Newest batch that is committed.",
		func(q watch.QueryStatus) (float64, bool) { return number(q.LastCommit) }},
	{"sparkpipeline_checkpoint_last_commit_timestamp_seconds", "When that was.",
		func(q watch.QueryStatus) (float64, bool) { return instantOf(q.LastCommitAt) }},
	{"sparkpipeline_checkpoint_last_commit_age_seconds", "Time since the newest batch was committed.",
		func(q watch.QueryStatus) (float64, bool) { return q.LastCommitAge, q.LastCommit != nil }},
	{"sparkpipeline_checkpoint_last_planned_batch", "Newest batch that is planned.",
		func(q watch.QueryStatus) (float64, bool) { return number(q.LastOffset) }},
	{"sparkpipeline_checkpoint_in_flight_seconds", "How long a batch has been under way; 0: none is.",
		func(q watch.QueryStatus) (float64, bool) { return q.InFlightAge, !q.LookedAt.IsZero() }},
	{"sparkpipeline_checkpoint_looked_timestamp_seconds", "When the root was last seen.",
		func(q watch.QueryStatus) (float64, bool) { return instantOf(q.LookedAt) }},
	{"sparkpipeline_query_trigger_declared_seconds", "Trigger interval of the spec.",
		func(q watch.QueryStatus) (float64, bool) { return known(q.Trigger.Declared) }},
	{"sparkpipeline_query_trigger_measured_seconds", "Median time between the begins of two batches.",
		func(q watch.QueryStatus) (float64, bool) { return known(q.Trigger.Measured) }},
	{"sparkpipeline_query_batch_seconds", "Median time that a batch takes.",
		func(q watch.QueryStatus) (float64, bool) { return known(q.Trigger.Batch) }},
	{"sparkpipeline_checkpoint_second_writer_traces", "Changes of state that are younger than the commit of their batch.",
		func(q watch.QueryStatus) (float64, bool) {
			if q.SecondWriter == nil {
				return 0, q.Verification != nil && !q.Verification.DeepAt.IsZero()
			}
			return float64(q.SecondWriter.Present), true
		}},
	{"sparkpipeline_checkpoint_replaced", "1: the root is not the one that was watched before, and nobody announced that.",
		func(q watch.QueryStatus) (float64, bool) { return truth(q.Change != nil && !q.Change.Expected), true }},
	{"sparkpipeline_checkpoint_verified_level", "Level of the last verification.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return float64(v.Level), true })
		}},
	{"sparkpipeline_checkpoint_verified_timestamp_seconds", "When the last verification began.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return instantOf(v.At) })
		}},
	{"sparkpipeline_checkpoint_verified_deeply_timestamp_seconds", "When the last verification began that looked at state.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return instantOf(v.DeepAt) })
		}},
	{"sparkpipeline_checkpoint_verification_seconds", "How long the last verification took.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return v.Took, true })
		}},
	{"sparkpipeline_checkpoint_restorable_batches", "Committed batches that can be gone back to.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return float64(v.Restorable), true })
		}},
	{"sparkpipeline_checkpoint_files", "Files in the root.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return float64(v.Files), true })
		}},
	{"sparkpipeline_checkpoint_bytes", "Sum of their sizes.",
		func(q watch.QueryStatus) (float64, bool) {
			return verification(q, func(v *watch.VerificationStatus) (float64, bool) { return float64(v.Bytes), true })
		}},
	{"sparkpipeline_kafka_lag", "Records at the brokers that are not committed yet.",
		func(q watch.QueryStatus) (float64, bool) {
			if q.Lag == nil || q.Lag.At.IsZero() {
				return 0, false
			}
			return float64(q.Lag.Records), true
		}},
	{"sparkpipeline_kafka_lag_timestamp_seconds", "When the lag was read.",
		func(q watch.QueryStatus) (float64, bool) {
			if q.Lag == nil {
				return 0, false
			}
			return instantOf(q.Lag.At)
		}},
}

// pipelineMetrics are the series of the pipeline.
var pipelineMetrics = []pipelineMetric{
	{"sparkpipeline_watch_ready", "1: every query makes progress and its checkpoint is sound.",
		func(s watch.Status) (float64, bool) { return truth(s.Ready), true }},
	{"sparkpipeline_watch_queries", "Query roots that are watched.",
		func(s watch.Status) (float64, bool) { return float64(len(s.Queries)), true }},
	{"sparkpipeline_recovery_points", "Recovery points in the bucket.",
		func(s watch.Status) (float64, bool) {
			return points(s, func(p *watch.Points) (float64, bool) { return float64(p.Count), true })
		}},
	{"sparkpipeline_recovery_points_verified", "Those that were verified after their upload.",
		func(s watch.Status) (float64, bool) {
			return points(s, func(p *watch.Points) (float64, bool) { return float64(p.Verified), true })
		}},
	{"sparkpipeline_recovery_point_newest_timestamp_seconds", "When the newest recovery point was complete.",
		func(s watch.Status) (float64, bool) {
			return points(s, func(p *watch.Points) (float64, bool) { return completed(p.Newest) })
		}},
	{"sparkpipeline_recovery_point_newest_verified_timestamp_seconds", "When the newest verified recovery point was complete.",
		func(s watch.Status) (float64, bool) {
			return points(s, func(p *watch.Points) (float64, bool) { return completed(p.NewestVerified) })
		}},
	{"sparkpipeline_recovery_points_listed_timestamp_seconds", "When the recovery points were last listed.",
		func(s watch.Status) (float64, bool) {
			return points(s, func(p *watch.Points) (float64, bool) { return instantOf(p.At) })
		}},
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func number(n *int64) (float64, bool) {
	if n == nil {
		return 0, false
	}
	return float64(*n), true
}

func known(seconds float64) (float64, bool) { return seconds, seconds > 0 }

func instantOf(t time.Time) (float64, bool) {
	return float64(t.UnixMilli()) / 1000, !t.IsZero()
}

func completed(p *watch.PointStatus) (float64, bool) {
	if p == nil {
		return 0, false
	}
	return instantOf(p.CompletedAt)
}

func verification(q watch.QueryStatus, value func(*watch.VerificationStatus) (float64, bool)) (float64, bool) {
	if q.Verification == nil || q.Verification.At.IsZero() {
		return 0, false
	}
	return value(q.Verification)
}

func points(s watch.Status, value func(*watch.Points) (float64, bool)) (float64, bool) {
	if s.Points == nil || s.Points.At.IsZero() {
		return 0, false
	}
	return value(s.Points)
}

// watchMetrics is a prometheus.Collector. What is not known is not exported. Labels
// are the pipeline and the name of a query, of which there are few.
type watchMetrics struct {
	status            func() watch.Status
	healthy, ready    *prometheus.Desc
	queries, pipeline []*prometheus.Desc
}

func newWatchMetrics(of config.Identity, status func() watch.Status) *watchMetrics {
	labels := prometheus.Labels{}
	if of.Name != "" {
		labels = prometheus.Labels{"pipeline_namespace": of.Namespace, "pipeline": of.Name}
	}
	query := []string{"query"}
	m := &watchMetrics{status: status,
		healthy: prometheus.NewDesc("sparkpipeline_checkpoint_healthy", "1: the checkpoint verifies, is the one that was watched, and has no trace of a second writer.", query, labels),
		ready:   prometheus.NewDesc("sparkpipeline_query_ready", "1: the query makes progress and its checkpoint is sound.", query, labels),
	}
	for _, q := range queryMetrics {
		m.queries = append(m.queries, prometheus.NewDesc(q.name, q.help, query, labels))
	}
	for _, p := range pipelineMetrics {
		m.pipeline = append(m.pipeline, prometheus.NewDesc(p.name, p.help, nil, labels))
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *watchMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.healthy
	to <- m.ready
	for _, d := range append(m.queries[:len(m.queries):len(m.queries)], m.pipeline...) {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *watchMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		// A name that cannot be a label has no series; it must not cost the others.
		if metric, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, v, labels...); err == nil {
			to <- metric
		}
	}
	for i, p := range pipelineMetrics {
		if v, ok := p.value(s); ok {
			gauge(m.pipeline[i], v)
		}
	}
	for _, q := range s.Queries {
		ready, sound := verdict(s, q.Name)
		gauge(m.ready, truth(ready), q.Name)
		if !sound || q.Verification != nil && !q.Verification.At.IsZero() {
			gauge(m.healthy, truth(sound), q.Name)
		}
		for i, metric := range queryMetrics {
			if v, ok := metric.value(q); ok {
				gauge(m.queries[i], v, q.Name)
			}
		}
	}
}

// verdict tells whether a query has no problem, and none that speaks of its state.
func verdict(s watch.Status, query string) (ready, sound bool) {
	ready, sound = true, true
	for _, p := range s.Problems {
		if p.Query != query {
			continue
		}
		ready, sound = false, sound && !slices.Contains(unsound, p.Reason)
	}
	return ready, sound
}

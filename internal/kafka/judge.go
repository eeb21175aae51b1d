// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// Kinds of findings, beside those of errors and of problems with a topic.
const (
	// RecordsGone: retention has removed records that are to be read. Spark fails in
	// its first batch, or with failOnDataLoss=false goes on without them.
	RecordsGone Kind = "RecordsGone"
	// BeyondEnd: the offset is one that the partition has not reached. The topic was
	// created again or cut; Spark would go back, or read nothing for a while.
	BeyondEnd Kind = "BeyondEnd"
	// TopicRecreated: the topic is another one of the same name. Spark does not notice
	// once it is long enough, and passes over what is in it up to the offsets.
	TopicRecreated Kind = "TopicRecreated"
	// PartitionGone: Kafka never takes partitions away, so it is another topic.
	PartitionGone Kind = "PartitionGone"
	// PartitionAdded: Spark reads it from its beginning.
	PartitionAdded Kind = "PartitionAdded"
	// TopicCut: the topic ends before it did at the time of the recovery point, as
	// after the election of a leader that lagged behind. Offsets may have been used
	// twice.
	TopicCut Kind = "TopicCut"
	// NotRecorded: the ids of then or of now are not known, so nothing tells whether
	// the topic was created again.
	NotRecorded Kind = "NotRecorded"
	// StartUnknown: the root does not say where the source begins to read.
	StartUnknown Kind = "StartUnknown"
	// NotAsked: no brokers are given.
	NotAsked Kind = "NotAsked"
)

// Kinds that keep a root from being called ready to start, unless they are accepted.
var Kinds = []Kind{RecordsGone, BeyondEnd, TopicRecreated, PartitionGone, TopicGone, NotAuthorized, NotAnswered, Unreachable, Credentials, Certificate, Setup}

// Severity of a finding.
type Severity string

// Severities. With an Error a query would not start, or start with wrong results.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// Finding is one thing about a topic that a checkpoint does not fit, or that is good
// to know. Figures are absent where there are none.
type Finding struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	// Accepted: somebody has said that the finding is no obstacle.
	Accepted  bool   `json:"accepted,omitempty"`
	Source    string `json:"source,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	// Offset of the checkpoint; Begin and End of the partition at the brokers.
	Offset *int64 `json:"offset,omitempty"`
	Begin  *int64 `json:"begin,omitempty"`
	End    *int64 `json:"end,omitempty"`
	// ID of the topic, and the one that was recorded with the recovery point.
	ID         string `json:"id,omitempty"`
	RecordedID string `json:"recordedID,omitempty"`
	Message    string `json:"message"`
}

// Failure makes a finding of an error by which nothing is known.
func Failure(err error) Finding {
	return Finding{Kind: cmp.Or(KindOf(err), NotAnswered), Severity: SeverityError, Message: err.Error()}
}

// Judge holds what a query will read next against what the brokers say now, and
// against what was recorded when the recovery point was made. It returns findings in
// the order of sources, topics and partitions.
func Judge(spans []checkpoint.KafkaSpan, now, recorded map[string]Topic) []Finding {
	var out []Finding
	told := map[string]bool{}
	for _, span := range spans {
		if span.From == nil {
			out = append(out, Finding{Kind: StartUnknown, Severity: SeverityWarning, Source: span.Source,
				Message: fmt.Sprintf("where source %s begins to read is known to nobody: neither an earlier batch nor %s says it", span.Source, checkpoint.KafkaStartPath(span.Source))})
		}
		for _, name := range checkpoint.KafkaTopics([]checkpoint.KafkaSpan{span}) {
			j := topicJudge{span: span, topic: now[name], recorded: recorded[name], name: name}
			if !told[name] {
				told[name] = true
				j.identity()
			}
			j.partitions()
			out = append(out, j.findings...)
		}
	}
	return out
}

// topicJudge judges one topic of one source.
type topicJudge struct {
	span            checkpoint.KafkaSpan
	name            string
	topic, recorded Topic
	findings        []Finding
}

func (j *topicJudge) add(kind Kind, severity Severity, format string, args ...any) *Finding {
	j.findings = append(j.findings, Finding{Kind: kind, Severity: severity, Source: j.span.Source, Topic: j.name, Message: fmt.Sprintf(format, args...)})
	return &j.findings[len(j.findings)-1]
}

// identity tells whether the topic is still the one that was recorded.
func (j *topicJudge) identity() {
	if p := j.topic.Problem; p != nil {
		j.add(p.Kind, SeverityError, "%s", p.Message)
		return
	}
	then, now := j.recorded.ID, j.topic.ID
	if then != "" && now != "" && then != now {
		f := j.add(TopicRecreated, SeverityError, "topic %s was deleted and created again: its id is %s and was %s when the recovery point was made", j.name, now, then)
		f.ID, f.RecordedID = now, then
		return
	}
	p, back := j.wentBack()
	switch {
	case then != "" && now != "" && back != "":
		f := j.add(TopicCut, SeverityWarning, "partition %d of topic %s %s, so offsets may have been used twice", p, j.name, back)
		j.figures(f, p)
	case back != "":
		f := j.add(TopicRecreated, SeverityError, "topic %s was created again: its partition %d %s", j.name, p, back)
		j.figures(f, p)
	case then == "" || now == "":
		f := j.add(NotRecorded, SeverityInfo, "nothing tells whether topic %s was created again: its id is %s and was %s then", j.name, cmp.Or(now, "unknown"), cmp.Or(then, "not recorded"))
		f.ID, f.RecordedID = now, then
	}
}

// wentBack finds a partition that begins or ends before it did. The beginning of a
// topic never goes back, its end only when records are lost.
func (j *topicJudge) wentBack() (partition int32, how string) {
	for _, p := range slices.Sorted(maps.Keys(j.recorded.End)) {
		begin, known := j.topic.Begin[p]
		if !known {
			continue
		}
		if then := j.recorded.Begin[p]; begin < then {
			return p, fmt.Sprintf("begins at %d and began at %d when the recovery point was made", begin, then)
		}
		if end, then := j.topic.End[p], j.recorded.End[p]; end < then {
			return p, fmt.Sprintf("ends at %d and ended at %d when the recovery point was made", end, then)
		}
	}
	return 0, ""
}

// partitions holds every partition against its span.
func (j *topicJudge) partitions() {
	if j.topic.Problem != nil {
		return
	}
	from, to := j.span.From[j.name], j.span.To[j.name]
	for _, p := range sortedPartitions(from, to) {
		if why, ok := j.topic.Unanswered[p]; ok {
			j.figures(j.add(NotAnswered, SeverityError, "of partition %d of topic %s: %s", p, j.name, why), p)
			continue
		}
		begin, ok := j.topic.Begin[p]
		if !ok {
			j.figures(j.add(PartitionGone, SeverityError, "topic %s has no partition %d any more; it was created again with fewer", j.name, p), p)
			continue
		}
		j.partition(p, begin, j.topic.End[p], from, to)
	}
	for _, p := range sortedPartitions(j.topic.Begin) {
		_, inFrom := from[p]
		if _, inTo := to[p]; !inFrom && !inTo {
			j.figures(j.add(PartitionAdded, SeverityInfo, "partition %d of topic %s is new, and is read from its beginning", p, j.name), p)
		}
	}
}

// partition judges begin <= offset <= end, of where reading begins and where the
// batch ends that is run again.
func (j *topicJudge) partition(p int32, begin, end int64, from, to map[int32]int64) {
	for _, offsets := range []map[int32]int64{from, to} {
		at, ok := offsets[p]
		switch {
		case !ok:
			continue
		case at < begin:
			f := j.add(RecordsGone, SeverityError, "partition %d of topic %s begins at %d, so the %d records from %d on are gone", p, j.name, begin, begin-at, at)
			j.figures(f, p)
			f.Offset = &at
			return
		case at > end:
			f := j.add(BeyondEnd, SeverityError, "partition %d of topic %s ends at %d, %d before offset %d: the topic was created again or cut", p, j.name, end, at-end, at)
			j.figures(f, p)
			f.Offset = &at
			return
		}
	}
}

func (j *topicJudge) figures(f *Finding, p int32) {
	f.Partition, f.ID, f.RecordedID = &p, j.topic.ID, j.recorded.ID
	if begin, ok := j.topic.Begin[p]; ok {
		end := j.topic.End[p]
		f.Begin, f.End = &begin, &end
	}
}

func sortedPartitions(of ...map[int32]int64) []int32 {
	all := map[int32]bool{}
	for _, m := range of {
		for p := range m {
			all[p] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// short is a finding in one line.
func short(f Finding) string {
	partition := ""
	if f.Partition != nil {
		partition = fmt.Sprintf("/%d", *f.Partition)
	}
	return fmt.Sprintf("%s %s %s%s", f.Severity, f.Kind, f.Topic, partition)
}

func shorts(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, short(f))
	}
	return out
}

type at = map[int32]int64

func topic(name, id string, begin, end at) map[string]Topic {
	return map[string]Topic{name: {Name: name, ID: id, Begin: begin, End: end, Unanswered: map[int32]string{}}}
}

func span(from, to checkpoint.KafkaPositions) []checkpoint.KafkaSpan {
	return []checkpoint.KafkaSpan{{Source: "0", From: from, To: to}}
}

func TestJudgements(t *testing.T) {
	from := checkpoint.KafkaPositions{"t": {0: 10, 1: 20}}
	recorded := topic("t", "A", at{0: 5, 1: 5}, at{0: 15, 1: 25})
	gone, forbidden := topic("t", "", nil, nil), topic("t", "", nil, nil)
	gone["t"] = Topic{Name: "t", Problem: &Problem{TopicGone, "gone"}}
	forbidden["t"] = Topic{Name: "t", Problem: &Problem{NotAuthorized, "no right"}}
	leaderless := topic("t", "A", at{0: 5}, at{0: 15})
	leaderless["t"].Unanswered[1] = "it has no leader"
	for title, c := range map[string]struct {
		spans         []checkpoint.KafkaSpan
		now, recorded map[string]Topic
		want          []string
		says          string
	}{
		"as it was":                    {span(from, nil), recorded, recorded, nil, ""},
		"at the ends":                  {span(from, nil), topic("t", "A", at{0: 10, 1: 5}, at{0: 15, 1: 25}), recorded, nil, ""},
		"everything read":              {span(checkpoint.KafkaPositions{"t": {0: 15, 1: 25}}, nil), recorded, recorded, nil, ""},
		"retention":                    {span(from, nil), topic("t", "A", at{0: 5, 1: 23}, at{0: 15, 1: 25}), recorded, []string{"error RecordsGone t/1"}, "the 3 records from 20 on are gone"},
		"shorter":                      {span(from, nil), topic("t", "A", at{0: 5, 1: 5}, at{0: 15, 1: 18}), recorded, []string{"warning TopicCut t/1", "error BeyondEnd t/1"}, "ends at 18, 2 before offset 20"},
		"made again, short":            {span(from, nil), topic("t", "B", at{0: 0, 1: 0}, at{0: 2, 1: 3}), recorded, []string{"error TopicRecreated t", "error BeyondEnd t/0", "error BeyondEnd t/1"}, "its id is B and was A"},
		"made again, longer":           {span(from, nil), topic("t", "B", at{0: 0, 1: 0}, at{0: 99, 1: 99}), recorded, []string{"error TopicRecreated t"}, "its id is B and was A"},
		"made again, longer, no ids":   {span(from, nil), topic("t", "", at{0: 0, 1: 0}, at{0: 99, 1: 99}), topic("t", "", at{0: 5, 1: 5}, at{0: 15, 1: 25}), []string{"error TopicRecreated t/0"}, "begins at 0 and began at 5"},
		"no ids":                       {span(from, nil), topic("t", "", at{0: 5, 1: 5}, at{0: 15, 1: 25}), recorded, []string{"info NotRecorded t"}, "its id is unknown and was A then"},
		"nothing recorded":             {span(from, nil), recorded, nil, []string{"info NotRecorded t"}, "was not recorded then"},
		"a partition less":             {span(from, nil), topic("t", "A", at{0: 5}, at{0: 15}), recorded, []string{"error PartitionGone t/1"}, "no partition 1"},
		"a partition more":             {span(from, nil), topic("t", "A", at{0: 5, 1: 5, 2: 0}, at{0: 15, 1: 25, 2: 7}), recorded, []string{"info PartitionAdded t/2"}, "from its beginning"},
		"cut above the offsets":        {span(from, nil), topic("t", "A", at{0: 5, 1: 5}, at{0: 15, 1: 24}), recorded, []string{"warning TopicCut t/1"}, "ended at 25"},
		"topic gone":                   {span(from, nil), gone, recorded, []string{"error TopicGone t"}, "gone"},
		"no right":                     {span(from, nil), forbidden, recorded, []string{"error NotAuthorized t"}, "no right"},
		"no leader":                    {span(from, nil), leaderless, recorded, []string{"error NotAnswered t/1"}, "it has no leader"},
		"in flight":                    {span(from, checkpoint.KafkaPositions{"t": {0: 15, 1: 25}}), recorded, recorded, nil, ""},
		"in flight, its end not there": {span(from, checkpoint.KafkaPositions{"t": {0: 15, 1: 26}}), recorded, recorded, []string{"error BeyondEnd t/1"}, "1 before offset 26"},
		"in flight, its begin gone":    {span(from, checkpoint.KafkaPositions{"t": {0: 15, 1: 25}}), topic("t", "A", at{0: 12, 1: 5}, at{0: 15, 1: 25}), recorded, []string{"error RecordsGone t/0"}, "the 2 records from 10 on"},
		"in flight, a new partition":   {span(from, checkpoint.KafkaPositions{"t": {0: 15, 1: 25, 2: 3}}), topic("t", "A", at{0: 5, 1: 5, 2: 4}, at{0: 15, 1: 25, 2: 9}), recorded, []string{"error RecordsGone t/2"}, "from 3 on"},
		"in flight, start unknown":     {span(nil, from), recorded, recorded, []string{"warning StartUnknown "}, "neither an earlier batch nor sources/0/0"},
		"two sources of a topic": {[]checkpoint.KafkaSpan{{Source: "0", From: from}, {Source: "1", From: checkpoint.KafkaPositions{"t": {0: 1, 1: 20}}}}, topic("t", "B", at{0: 5, 1: 5}, at{0: 15, 1: 25}), recorded,
			[]string{"error TopicRecreated t", "error RecordsGone t/0"}, ""},
		"two topics": {span(checkpoint.KafkaPositions{"t": {0: 10, 1: 20}, "u": {0: 1}}, nil), map[string]Topic{"t": recorded["t"], "u": {Name: "u", Problem: &Problem{TopicGone, "gone"}}}, recorded, []string{"error TopicGone u"}, ""},
	} {
		got := Judge(c.spans, c.now, c.recorded)
		if !slices.Equal(shorts(got), c.want) {
			t.Errorf("%s: %q; want %q", title, shorts(got), c.want)
			continue
		}
		if c.says != "" && !slices.ContainsFunc(got, func(f Finding) bool { return strings.Contains(f.Message, c.says) }) {
			t.Errorf("%s: no finding says %q: %+v", title, c.says, got)
		}
	}
}

func TestFindingsCarryFigures(t *testing.T) {
	f := Judge(span(checkpoint.KafkaPositions{"t": {7: 10}}, nil), topic("t", "A", at{7: 12}, at{7: 40}), topic("t", "A", at{7: 2}, at{7: 30}))[0]
	if *f.Partition != 7 || *f.Offset != 10 || *f.Begin != 12 || *f.End != 40 || f.ID != "A" || f.RecordedID != "A" || f.Source != "0" {
		t.Errorf("%+v", f)
	}
	if f := Failure(&Error{Unreachable, errors.New("x")}); f.Kind != Unreachable || f.Severity != SeverityError {
		t.Errorf("%+v", f)
	}
}

func TestLag(t *testing.T) {
	two := map[string]checkpoint.KafkaPositions{"0": {"t": {0: 10, 1: 20}}, "1": {"t": {0: 15, 1: 25}, "u": {0: 0}}}
	now := topic("t", "A", at{0: 5, 1: 22, 2: 3}, at{0: 15, 1: 25, 2: 9})
	now["u"] = Topic{Name: "u", Begin: at{0: 0}, End: at{0: 4}}
	// 5 and, since two are gone, 3, and 6 of a partition that is new; the same 6 again.
	records, topics, err := Lag(two, now)
	if err != nil || records != 5+3+6+6+4 || topics["t"] != 5+3+6+6 || topics["u"] != 4 {
		t.Errorf("%d, %v, %v", records, topics, err)
	}
	for says, c := range map[string]map[string]Topic{
		"TopicGone": {"t": {Problem: &Problem{TopicGone, "gone"}}, "u": now["u"]},
		"BeyondEnd: partition 1 of topic t ends at 19, before offset": {"t": {Name: "t", Begin: at{0: 0, 1: 0}, End: at{0: 15, 1: 19}}, "u": now["u"]},
		"NotAnswered":   {"t": {Name: "t", Unanswered: map[int32]string{1: "no leader"}, Begin: at{0: 0}, End: at{0: 15}}, "u": now["u"]},
		"PartitionGone": {"t": {Name: "t", Begin: at{0: 0}, End: at{0: 15}}, "u": now["u"]},
	} {
		if records, _, err := Lag(two, c); err == nil || !strings.Contains(err.Error(), says) || records != 0 {
			t.Errorf("%s: %d, %v", says, records, err)
		}
	}
	hostile := map[string]checkpoint.KafkaPositions{"0": {"t": {0: math.MinInt64, 1: math.MinInt64}}}
	if records, _, err := Lag(hostile, topic("t", "A", at{0: 0, 1: 0}, at{0: math.MaxInt64, 1: math.MaxInt64})); err != nil || records != math.MaxInt64 {
		t.Errorf("%d, %v", records, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
)

// KafkaPositions are positions of one Kafka source: topic -> partition -> the
// offset of the record that is read next.
type KafkaPositions map[string]map[int32]int64

// KafkaSpan is what Spark reads of one Kafka source when it starts on a root.
type KafkaSpan struct {
	// Source is its number in the query, or its name.
	Source string `json:"source"`
	// From is where it begins, and FromPath the file that says so. Nil: nothing was
	// read yet and the root does not say where to begin.
	From     KafkaPositions `json:"-"`
	FromPath string         `json:"from,omitempty"`
	// To is where the batch ends that is run again, and ToPath the file that says
	// so. Nil: no batch is in flight, and the next one goes on from From.
	To     KafkaPositions `json:"-"`
	ToPath string         `json:"to,omitempty"`
}

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// kafkaPositions reads positions of the shape {"topic":{"0":n}}; nil: they are not
// of a Kafka source. Nothing else in an entry tells the kind of a source.
func kafkaPositions(topics map[string]map[string]int64) KafkaPositions {
	if len(topics) == 0 {
		return nil
	}
	out := KafkaPositions{}
	for topic, partitions := range topics {
		if !topicName.MatchString(topic) || topic == "." || topic == ".." {
			return nil
		}
		out[topic] = map[int32]int64{}
		for name, at := range partitions {
			n, canonical, ok := number(name)
			if !ok || !canonical || n > math.MaxInt32 {
				return nil
			}
			out[topic][int32(n)] = at
		}
	}
	return out
}

// KafkaPositionsOf returns the positions of the Kafka sources in an entry of
// offsets, by source. unread are the sources of which it says that nothing was read
// yet, whatever their kind.
func KafkaPositionsOf(entry []byte) (positions map[string]KafkaPositions, unread []string, err error) {
	o, err := parseOffset(entry)
	if err != nil {
		return nil, nil, err
	}
	positions = map[string]KafkaPositions{}
	for _, id := range o.ids {
		if p := o.positions[id]; p.kind == positionNone {
			unread = append(unread, id)
		} else if k := kafkaPositions(p.topics); k != nil {
			positions[id] = k
		}
	}
	return positions, unread, nil
}

// KafkaStartPath is the file of a Kafka source with the offsets at which its query
// began.
func KafkaStartPath(source string) string { return path.Join("sources", source, "0") }

// KafkaStart reads that file. Nil: it is not one of a Kafka source, which begins
// with a zero byte and a version line.
func KafkaStart(data []byte) KafkaPositions {
	text, ok := bytes.CutPrefix(bytes.TrimPrefix(data, []byte{0}), []byte("v1\n"))
	if !ok {
		return nil
	}
	var topics map[string]map[string]int64
	if json.Unmarshal(text, &topics) != nil {
		return nil
	}
	return kafkaPositions(topics)
}

// KafkaNext lists what Spark reads of each Kafka source of the root when it starts:
// the rest of the topics from the newest offsets on; and when that batch is not
// committed, exactly its range again, which begins where the batch before ended.
// Without a batch there is nothing.
func (r *Root) KafkaNext(ctx context.Context) ([]KafkaSpan, error) {
	if !r.offsets.any {
		return nil, nil
	}
	last := r.offsets.max
	newest, err := r.offset(ctx, last)
	if err != nil {
		return nil, doing("read "+r.offsets.path(last), err)
	}
	if r.commits.any && r.commits.max >= last {
		return r.kafkaSpans(ctx, newest, last, nil, 0)
	}
	before, ok := r.offsets.before(last)
	if !ok {
		return r.kafkaSpans(ctx, nil, 0, newest, last)
	}
	from, err := r.offset(ctx, before)
	if err != nil {
		return nil, doing("read "+r.offsets.path(before), err)
	}
	return r.kafkaSpans(ctx, from, before, newest, last)
}

// kafkaSpans are what is read from one entry to another; either may be nil, not both.
func (r *Root) kafkaSpans(ctx context.Context, from *offset, fromBatch int64, to *offset, toBatch int64) ([]KafkaSpan, error) {
	known := from
	if to != nil {
		known = to
	}
	var out []KafkaSpan
	for _, id := range known.ids {
		var span KafkaSpan
		if span.Source = id; from != nil {
			span.From, span.FromPath = kafkaPositions(from.positions[id].topics), r.offsets.path(fromBatch)
		}
		if to != nil {
			span.To, span.ToPath = kafkaPositions(to.positions[id].topics), r.offsets.path(toBatch)
		}
		if span.To == nil && span.From == nil && known.positions[id].kind != positionNone {
			continue // Of another kind.
		}
		if span.From == nil {
			var err error
			if span.From, err = r.kafkaStart(ctx, id); err != nil {
				return nil, err
			}
			if span.FromPath = ""; span.From != nil {
				span.FromPath = KafkaStartPath(id)
			}
		}
		if span.From != nil || span.To != nil {
			out = append(out, span)
		}
	}
	return out, nil
}

// kafkaStart is where a source began; nil: it is not known. Spark does without the
// file as long as the offsets name all partitions.
func (r *Root) kafkaStart(ctx context.Context, id string) (KafkaPositions, error) {
	p := KafkaStartPath(id)
	if _, ok := r.files[p]; !ok {
		return nil, nil
	}
	data, err := read(ctx, r.src, p, largestLogEntry)
	if isFormat(err) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, doing("read "+p, err)
	}
	return KafkaStart(data), nil
}

// KafkaTopics lists the topics that any of the spans names, in order.
func KafkaTopics(spans []KafkaSpan) []string {
	names := map[string]bool{}
	for _, s := range spans {
		for _, positions := range []KafkaPositions{s.From, s.To} {
			for topic := range positions {
				names[topic] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

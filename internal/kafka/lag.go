// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"math"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// Lag counts the records from the positions of a committed batch to the ends of
// their partitions, those of a batch under way included; of a partition that the
// positions lack all records count. Two sources of one topic have to read it twice.
// Control records of transactions count too, so it is not exactly a number of rows.
//
// The error says which topic or partition could not be counted; then nothing is.
func Lag(positions map[string]checkpoint.KafkaPositions, now map[string]Topic) (records int64, topics map[string]int64, err error) {
	topics = map[string]int64{}
	for source, of := range positions {
		for name, partitions := range of {
			t := now[name]
			if t.Problem != nil {
				return 0, nil, fmt.Errorf("%s: %s", t.Problem.Kind, t.Problem.Message)
			}
			n, err := lagOf(t, partitions)
			if err != nil {
				return 0, nil, fmt.Errorf("source %s: %w", source, err)
			}
			topics[name] = saturated(topics[name], n)
			records = saturated(records, n)
		}
	}
	return records, topics, nil
}

func lagOf(t Topic, at map[int32]int64) (int64, error) {
	for p, why := range t.Unanswered {
		return 0, fmt.Errorf("%s: of partition %d of topic %s: %s", NotAnswered, p, t.Name, why)
	}
	var records int64
	for p, end := range t.End {
		from, ok := at[p]
		if !ok {
			from = t.Begin[p]
		}
		// What retention has removed is not there to be read.
		from = max(from, t.Begin[p])
		if from > end {
			return 0, fmt.Errorf("%s: partition %d of topic %s ends at %d, before offset %d: the topic was created again or cut", BeyondEnd, p, t.Name, end, from)
		}
		records = saturated(records, end-from)
	}
	for p := range at {
		if _, ok := t.End[p]; !ok {
			return 0, fmt.Errorf("%s: topic %s has no partition %d", PartitionGone, t.Name, p)
		}
	}
	return records, nil
}

// saturated adds what a hostile file may have made very large.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

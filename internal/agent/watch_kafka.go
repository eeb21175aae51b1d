// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/kafka"
	"sparkpipeline.dev/operator/internal/watch"
)

// behind measures the lag behind Kafka now and then, until ctx ends. It keeps to a
// goroutine of its own, for brokers may take their time too.
func (w *watcher) behind(ctx context.Context) {
	if !w.kafka.given() {
		return
	}
	defer w.kafka.close()
	failed := map[string]bool{}
	for ctx.Err() == nil {
		for of, lag := range w.lags(ctx) {
			if ctx.Err() != nil {
				return
			}
			if bad := lag.Error != ""; bad != failed[of.Name] {
				failed[of.Name] = bad
				if bad {
					w.log.Warn("The lag behind Kafka is not known", "query", of.Name, "error", lag.Error)
				} else {
					w.log.Info("The lag behind Kafka is known again", "query", of.Name)
				}
			}
			w.with(func(*watch.Watch) { of.Lagged(lag) })
		}
		if sleep(ctx, w.lagEvery) != nil {
			return
		}
	}
}

// lags of the queries that read topics. The files are read before the brokers are
// asked: the other way round a batch in between would look as if it were ahead.
func (w *watcher) lags(ctx context.Context) map[view]watch.Lag {
	out := map[view]watch.Lag{}
	at := map[view]map[string]checkpoint.KafkaPositions{}
	var spans []checkpoint.KafkaSpan
	for _, v := range w.views() {
		positions, batch, err := w.committed(ctx, v)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(positions) == 0 {
			continue // Retention or a rewind has passed, or there is no such source.
		}
		if err != nil {
			out[v] = watch.Lag{Batch: batch, Error: err.Error()}
			continue
		}
		at[v], out[v] = positions, watch.Lag{Batch: batch}
		for _, p := range positions {
			spans = append(spans, checkpoint.KafkaSpan{From: p})
		}
	}
	if len(at) == 0 {
		return out
	}
	topics, err := w.kafka.topics(ctx, checkpoint.KafkaTopics(spans))
	now := w.now()
	for v, positions := range at {
		out[v] = lagAt(now, out[v], positions, topics, err)
	}
	return out
}

func lagAt(now time.Time, lag watch.Lag, positions map[string]checkpoint.KafkaPositions, topics map[string]kafka.Topic, err error) watch.Lag {
	if err == nil {
		lag.Records, lag.Topics, err = kafka.Lag(positions, topics)
	}
	if err != nil {
		lag.Error = err.Error()
		return lag
	}
	lag.At = now
	return lag
}

// committed reads where the newest committed batch of a query has left its Kafka
// sources. Before the first one that is where they began, by batch -1.
func (w *watcher) committed(ctx context.Context, v view) (map[string]checkpoint.KafkaPositions, int64, error) {
	batch, of := v.commit, v.commit
	if batch < 0 {
		of = v.offset
	}
	if of < 0 {
		return nil, batch, nil
	}
	name := path.Join("offsets", strconv.FormatInt(of, 10))
	entry, err := w.at.read(ctx, path.Join(v.Path, name))
	if err != nil {
		return nil, batch, fmt.Errorf("read %s: %w", name, err)
	}
	positions, unread, err := checkpoint.KafkaPositionsOf(entry)
	if err != nil {
		return nil, batch, fmt.Errorf("%s %w", name, err)
	}
	if batch < 0 {
		for id := range positions {
			unread = append(unread, id)
		}
		clear(positions)
	}
	slices.Sort(unread)
	for _, id := range unread {
		data, err := w.at.read(ctx, path.Join(v.Path, checkpoint.KafkaStartPath(id)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, batch, fmt.Errorf("read %s: %w", checkpoint.KafkaStartPath(id), err)
		}
		if start := checkpoint.KafkaStart(data); start != nil {
			positions[id] = start
		}
	}
	return positions, batch, nil
}

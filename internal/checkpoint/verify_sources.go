// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"slices"
)

// compactEvery is how often the file source compacts its log
// (spark.sql.streaming.fileSource.log.compactInterval).
const compactEvery = 10

// sourceLogs judges the logs of the sources against the newest offsets. Only
// sources whose log holds what offsets do not are judged: a file source, whose
// entries name the files, and a rate source, whose entry holds its start. A Kafka
// source starts without its log as long as the offsets name all partitions.
func (j *judge) sourceLogs(ctx context.Context) error {
	o, n, err := j.newestGoodOffset(ctx)
	if err != nil || o == nil {
		return err
	}
	for _, id := range o.ids {
		switch p := o.positions[id]; p.kind {
		case positionLog:
			j.fileSource(id, n, p.number)
		case positionNumber:
			if dir := "sources/" + id; j.dirs[dir] && (j.sources[id] == nil || !j.sources[id].has(0)) {
				j.spoiled = true
				j.add(LevelStructure, SeverityError, KindSourceLogMissing, dir, "has no entry 0, which holds the start of the source")
			}
		}
	}
	return nil
}

// newestGoodOffset is the newest entry of offsets that nothing is wrong with.
func (j *judge) newestGoodOffset(ctx context.Context) (*offset, int64, error) {
	for _, n := range slices.Backward(j.offsets.numbers) {
		if j.damaged[j.offsets.path(n)] {
			continue
		}
		o, err := j.offset(ctx, n)
		if isFormat(err) || isGone(err) {
			continue
		}
		return o, n, doing("read "+j.offsets.path(n), err)
	}
	return nil, 0, nil
}

// fileSource walks the log of a file source from its newest entry down to the last
// compacted one, which holds all before.
func (j *judge) fileSource(id string, batch, at int64) {
	dir := "sources/" + id
	s := j.sources[id]
	if s == nil || !s.any {
		if !j.dirs["sources"] {
			dir = "sources"
		}
		j.spoiled = true
		j.add(LevelStructure, SeverityError, KindSourceLogMissing, dir, "has no entry, though offsets name entry %d of the source's log", at)
		return
	}
	if s.max < at {
		j.add(LevelStructure, SeverityError, KindSourceLogBehind, dir+"/"+decimal(at), "is missing, though offsets/%d names it", batch)
	}
	steps := len(s.plain) + len(s.compact)
	for n := s.max; n >= 0; n-- {
		if s.compact[n] {
			return
		}
		if !s.plain[n] || steps < 0 {
			name := decimal(n)
			if (n+1)%compactEvery == 0 {
				name += ".compact"
			}
			j.spoiled = true
			j.add(LevelStructure, SeverityError, KindSourceLogGap, dir+"/"+name, "is missing from the log of the source, which goes up to %d", s.max)
			return
		}
		steps--
	}
}

// sourcesReach says whether the logs of file sources reach what the offsets of a
// batch name.
func (r *Root) sourcesReach(o *offset) bool {
	for id, p := range o.positions {
		if s := r.sources[id]; p.kind == positionLog && (s == nil || s.max < p.number) {
			return false
		}
	}
	return true
}

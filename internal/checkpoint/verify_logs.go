// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"slices"
)

// logs judges level 3: what metadata, offsets and commits say. What is wrong with
// entries that the next start does not read is a warning.
func (j *judge) logs(ctx context.Context) error {
	if err := j.metadataFile(ctx); err != nil {
		return err
	}
	read := j.readAtStart()
	for i, n := range j.offsets.numbers {
		if err := j.offsetEntry(ctx, i, n, read["o"+decimal(n)]); err != nil {
			return err
		}
	}
	for i, n := range j.commits.numbers {
		if err := j.commitEntry(ctx, i, n, read["c"+decimal(n)]); err != nil {
			return err
		}
	}
	return nil
}

// readAtStart are the entries that Spark reads when it starts, and those that a
// restore of the newest committed batch needs.
func (j *judge) readAtStart() map[string]bool {
	out := map[string]bool{}
	for _, n := range []int64{j.offsets.max, j.commits.max} {
		out["o"+decimal(n)], out["c"+decimal(n)] = true, true
		if before, ok := j.previous(n); ok {
			out["o"+decimal(before)] = true
		}
	}
	return out
}

func (j *judge) metadataFile(ctx context.Context) error {
	if _, ok := j.files["metadata"]; !ok {
		j.spoiled = true
		j.broken(LevelLogs, KindMetadataMissing, "metadata", "is missing: Spark up to 4.1 would go on as another query, later versions refuse to start")
		return nil
	}
	_, err := j.metadata(ctx)
	if bad, ok := errors.AsType[*formatError](err); ok {
		if j.files["metadata"].Size > 0 {
			j.broken(LevelLogs, KindMetadataInvalid, "metadata", "%s", bad.problem)
		}
		return nil
	}
	return doing("read metadata", err)
}

// blame reports what is wrong with an entry of a log: an error if Spark reads it at
// the next start, else a warning. Either way no restorable set may hold it.
func (j *judge) blame(current bool, kind, at, format string, args ...any) {
	j.damaged[at] = true
	severity := SeverityWarning
	if current {
		severity = SeverityError
	}
	j.add(LevelLogs, severity, kind, at, format, args...)
}

func (j *judge) offsetEntry(ctx context.Context, i int, n int64, current bool) error {
	at := j.offsets.path(n)
	if j.offsets.entries[n].Size == 0 {
		return nil // told on level 1
	}
	o, err := j.offset(ctx, n)
	if isGone(err) && !current {
		return nil
	}
	if bad, ok := errors.AsType[*formatError](err); ok {
		j.blame(current, KindOffsetInvalid, at, "%s", bad.problem)
		return nil
	}
	if err != nil {
		return doing("read "+at, err)
	}
	if i == 0 {
		return nil
	}
	earlier, err := j.offset(ctx, j.offsets.numbers[i-1])
	if err != nil {
		return nil // told at its own turn
	}
	j.compareOffsets(current, at, j.offsets.numbers[i-1], o, earlier)
	return nil
}

func (j *judge) compareOffsets(current bool, at string, before int64, o, earlier *offset) {
	if len(o.ids) != len(earlier.ids) {
		j.blame(current, KindSourceCount, at, "names %d sources, offsets/%d names %d", len(o.ids), before, len(earlier.ids))
		return
	}
	if !slices.Equal(o.ids, earlier.ids) {
		j.blame(current, KindSourceIDChanged, at, "names other sources than offsets/%d: %s instead of %s", before, clip(join(o.ids)), clip(join(earlier.ids)))
		return
	}
	for _, id := range o.ids {
		now, then := o.positions[id], earlier.positions[id]
		if now.changedKind(then) {
			j.blame(current, KindOffsetInvalid, at, "source %s: %s is of another kind of source than %s in offsets/%d", clip(id), clip(now.raw), clip(then.raw), before)
			return
		}
		if how := now.wentBack(then); how != "" {
			j.blame(current, KindSourceWentBack, at, "source %s %s in offsets/%d: rows would be read twice", clip(id), how, before)
			return
		}
	}
	for key, then := range earlier.conf {
		if now, ok := o.conf[key]; ok && now != then && fixedSetting(key) {
			j.blame(current, KindConfChanged, at, "%s is %q, after %q in offsets/%d; it is fixed for the life of a root", key, clip(now), clip(then), before)
			return
		}
	}
}

func join(ids []string) string {
	out := ""
	for i, id := range ids {
		if i > 0 {
			out += ", "
		}
		out += id
	}
	return out
}

func (j *judge) commitEntry(ctx context.Context, i int, n int64, current bool) error {
	at := j.commits.path(n)
	if j.commits.entries[n].Size == 0 {
		return nil
	}
	c, err := j.commit(ctx, n)
	if isGone(err) && !current {
		return nil
	}
	if bad, ok := errors.AsType[*formatError](err); ok {
		j.blame(current, KindCommitInvalid, at, "%s", bad.problem)
		return nil
	}
	if err != nil {
		return doing("read "+at, err)
	}
	stateful := len(j.operators) > 0
	switch {
	case stateful && j.format2 && c.version == 1:
		j.blame(current, KindCommitInvalid, at, "is of version 1, in a root whose state files have unique ids")
		return nil
	case stateful && (j.format2 || c.version == 2) && len(c.stateIDs) == 0:
		j.blame(current, KindCommitInvalid, at, "names no state files, as version %d must for a query with state", c.version)
		return nil
	}
	if i == 0 {
		return nil
	}
	before := j.commits.numbers[i-1]
	if earlier, err := j.commit(ctx, before); err == nil && c.watermark < earlier.watermark {
		j.blame(current, KindWatermarkWentBack, at, "has the watermark %d ms, after %d ms in commits/%d", c.watermark, earlier.watermark, before)
	}
	return nil
}

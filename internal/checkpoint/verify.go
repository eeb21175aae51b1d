// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Options of Verify.
type Options struct {
	// Level is the highest level to judge; 0: LevelChecksums.
	Level int
	// Place is where the root will be used: a path, or a URI. Roots of
	// transformWithState start only where they were made. Empty: not judged.
	Place string
	// Record of an earlier look; nil: none.
	Record *Record
	// Progress is called now and then while content is read.
	Progress func(files int, bytes int64)
}

// Verify judges a root. An error means that it could not be judged; what is wrong
// with the root is in the report.
//
// A running query is no reason for findings: only what belongs to batches that
// were committed when the root was listed is judged, and what goes away meanwhile
// is looked for again.
func Verify(ctx context.Context, src Source, o Options) (*Report, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		r, err := Open(ctx, src)
		if err != nil {
			return nil, err
		}
		report, err := r.verify(ctx, o)
		if err != nil && isGone(err) && attempt < attempts {
			continue // retention has passed; a younger batch can be judged
		}
		return report, err
	}
}

// judge collects what is found.
type judge struct {
	*Root
	o        Options
	findings []Finding
	// damaged files: a restorable set that has one does not count.
	damaged map[string]bool
	// spoiled: something is missing that every restorable set needs.
	spoiled bool
	// needed are the files of the newest committed batch's restorable set, as far
	// as its level-4 part is there.
	needed map[string]bool
	// younger are changes of state that are younger than the commit of their batch.
	younger map[string]bool
	// sharedOf a zip are the files outside of it that it names, once it was read.
	sharedOf map[string][]string
	// operatorMeta by operator, if it could be read.
	operatorMeta map[int64]*operatorMetadata
}

func (j *judge) add(level int, severity Severity, kind, at, format string, args ...any) {
	j.findings = append(j.findings, Finding{Level: level, Severity: severity, Kind: kind, Path: at, Message: fmt.Sprintf(format, args...)})
}

// broken reports an error in a file that no restorable set may contain.
func (j *judge) broken(level int, kind, at, format string, args ...any) {
	j.damaged[at] = true
	j.add(level, SeverityError, kind, at, format, args...)
}

func newJudge(r *Root, o Options) *judge {
	return &judge{Root: r, o: o, damaged: map[string]bool{}, needed: map[string]bool{}, younger: map[string]bool{}, sharedOf: map[string][]string{}, operatorMeta: map[int64]*operatorMetadata{}}
}

func (r *Root) verify(ctx context.Context, o Options) (*Report, error) {
	j := newJudge(r, o)
	if j.o.Level == 0 {
		j.o.Level = LevelChecksums
	}
	steps := []struct {
		level int
		run   func(context.Context) error
	}{
		{LevelNames, j.names}, {LevelNumbers, j.numbers}, {LevelLogs, j.logs}, {LevelStructure, j.structure},
		{LevelContent, j.content}, {LevelRecord, j.record},
	}
	for _, s := range steps {
		if s.level > j.o.Level && (s.level != LevelRecord || j.o.Record == nil) {
			continue
		}
		if err := s.run(ctx); err != nil {
			return nil, err
		}
	}
	restorable, err := j.restorable(ctx)
	if err != nil {
		return nil, err
	}
	report := &Report{Provider: r.provider, RestorableBatches: restorable, Findings: j.findings}
	if report.Findings == nil {
		report.Findings = []Finding{}
	}
	if r.offsets.any {
		report.LastOffset = &r.offsets.max
	}
	if r.commits.any {
		report.LastCommit = &r.commits.max
	}
	report.InFlight = r.offsets.any && (!r.commits.any || r.offsets.max > r.commits.max)
	report.arrange()
	return report, nil
}

// names judges level 1.
func (j *judge) names(ctx context.Context) error {
	for _, l := range []*log{j.offsets, j.commits} {
		for _, p := range l.badName {
			j.broken(LevelNames, KindBadName, p, "entries of %s are files named by a number without padding", l.dir)
		}
	}
	for p, e := range j.files {
		if e.Size == 0 && mustHaveContent(p) {
			j.broken(LevelNames, KindEmptyFile, p, "is empty")
		}
	}
	if !j.gapsAreNormal() {
		for _, n := range j.holes(j.offsets, j.commits) {
			j.add(LevelNames, SeverityError, KindOffsetsGap, j.offsets.path(n), "is missing between %d and %d", j.offsets.numbers[0], j.offsets.max)
		}
		for _, n := range j.holes(j.commits, j.offsets) {
			j.add(LevelNames, SeverityError, KindCommitsGap, j.commits.path(n), "is missing between %d and %d", j.commits.numbers[0], j.commits.max)
		}
	}
	return j.orphans(ctx)
}

// mustHaveContent leaves out the files of RocksDB whose sizes a zip records, and
// checksums.
func mustHaveContent(p string) bool {
	if isCompanion(p) {
		return false
	}
	switch dir := path.Base(path.Dir(p)); top(p) {
	case "metadata", "sources":
		return true
	case "offsets", "commits":
		_, _, ok := number(path.Base(p))
		return ok
	case "state":
		return dir != "SSTs" && dir != "logs"
	}
	return false
}

// orphans finds hidden companions without their file. They make Spark's next write
// of that file fail. A running query renames file and companion one after the
// other, so each is looked for once more.
func (j *judge) orphans(ctx context.Context) error {
	byDir := map[string][]string{}
	for p := range j.files {
		of, ok := companionOf(p)
		if _, there := j.files[of]; ok && !there && !isTemporary(of) && isOurs(p) {
			byDir[path.Dir(p)] = append(byDir[path.Dir(p)], p)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		now := map[string]bool{}
		for e, err := range j.src.List(ctx, dir) {
			if err != nil {
				return err
			}
			now[e.Path] = true
		}
		for _, p := range byDir[dir] {
			if of, _ := companionOf(p); now[p] && !now[of] {
				j.add(LevelNames, SeverityError, KindOrphanChecksum, p, "is the checksum of a file that is not there; Spark cannot write that file while it is")
			}
		}
	}
	return nil
}

// isOurs tells the files of a root from others that lie there.
func isOurs(p string) bool {
	switch top(p) {
	case "offsets", "commits", "sources", "state", ".metadata.crc":
		return true
	}
	return false
}

// numbers judges level 2.
func (j *judge) numbers(context.Context) error {
	l, c := j.offsets, j.commits
	switch {
	case !l.any && c.any:
		j.spoiled = true
		j.add(LevelNumbers, SeverityError, KindOffsetsMissing, "offsets", "no batch is planned, but batch %d is committed", c.max)
	case !l.any:
		j.numbersOfEmptyLogs()
	case c.any && c.max > l.max:
		j.add(LevelNumbers, SeverityError, KindCommitsAhead, c.path(c.max), "batch %d is committed, but the newest planned batch is %d", c.max, l.max)
	default:
		behind := int64(0)
		for _, n := range l.numbers {
			if !c.any || n > c.max {
				behind++
			}
		}
		if behind > 1 && !c.any {
			j.add(LevelNumbers, SeverityError, KindCommitsBehind, "commits", "no batch is committed, but batches up to %d are planned", l.max)
		} else if behind > 1 {
			j.add(LevelNumbers, SeverityError, KindCommitsBehind, c.path(c.max), "the newest committed batch is %d, but batches up to %d are planned: Spark would skip those between", c.max, l.max)
		}
	}
	return nil
}

// numbersOfEmptyLogs tells a root that has just begun from one whose logs are
// gone: a source logs its first entry before the first offsets. State without logs
// is level 4's.
func (j *judge) numbersOfEmptyLogs() {
	if j.anyState {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(j.sources)) {
		if s := j.sources[id]; s.any && s.max > 0 {
			j.spoiled = true
			j.add(LevelNumbers, SeverityError, KindOffsetsMissing, "offsets", "no batch is planned or committed, but %s goes up to %d", s.dir, s.max)
			return
		}
	}
}

// sortedOperators in ascending order.
func (r *Root) sortedOperators() []*operator {
	return slices.SortedFunc(maps.Values(r.operators), func(a, b *operator) int { return int(min(max(a.number-b.number, -1), 1)) })
}

// codec of the state files of a root.
const confCodec = "spark.sql.streaming.stateStore.compression.codec"

// confPrefix is what settings begin with that are fixed for the life of a root.
const confPrefix = "spark.sql.streaming."

func fixedSetting(key string) bool {
	return strings.HasPrefix(key, confPrefix) || key == "spark.sql.shuffle.partitions"
}

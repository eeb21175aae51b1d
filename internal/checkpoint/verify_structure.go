// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// structure judges level 4: whether everything is there from which the newest
// committed batch can be gone on with.
func (j *judge) structure(ctx context.Context) error {
	j.stateAhead()
	j.secondWriter()
	if err := j.operatorsThere(ctx); err != nil {
		return err
	}
	if err := j.sourceLogs(ctx); err != nil {
		return err
	}
	if !j.commits.any {
		return nil
	}
	files, gaps, err := j.stateOf(ctx, j.commits.max)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		j.add(LevelStructure, SeverityError, g.kind, g.path, "%s", g.problem)
	}
	for _, f := range files {
		j.needed[f.Path] = true
	}
	return nil
}

// stateAhead finds state that no planned batch can have written: it is left over
// from another timeline, and Spark would take it for its own when it gets there.
// Checkpoint format 2 names the files of a batch, and real-time mode writes state
// before offsets, so there one version more is normal.
func (j *judge) stateAhead() {
	if !j.anyState {
		return
	}
	if !j.anyOffset {
		j.spoiled = true
		j.add(LevelStructure, SeverityError, KindStateAhead, "state", "holds state, but no batch is planned: the logs are gone")
		return
	}
	allowed := j.newestOffset + 1
	if j.format2 {
		allowed++
	}
	for s := range j.stores() {
		for _, f := range s.files {
			if f.version > allowed {
				j.add(LevelStructure, SeverityError, KindStateAhead, f.Path, "is of version %d; the newest planned batch, %d, writes version %d: it was left over from another timeline", f.version, j.newestOffset, j.newestOffset+1)
			}
		}
	}
}

// secondWriter finds changes of state that are younger than the commit of their
// batch: a driver that was frozen or cut off wrote them when it woke up.
func (j *judge) secondWriter() {
	for s := range j.stores() {
		for _, f := range s.files {
			c, ok := j.commits.entries[f.version-1]
			if !ok || f.kind != "delta" && f.kind != "changelog" || !f.ModTime.After(c.ModTime) {
				continue
			}
			j.younger[f.Path] = true
			j.add(LevelStructure, SeverityWarning, KindSecondWriter, f.Path, "was written after commits/%d (%s, %s): a second driver may have written it, or a copy did not keep times",
				f.version-1, f.ModTime.UTC().Format(timeFormat), c.ModTime.UTC().Format(timeFormat))
		}
	}
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// operatorsThere judges which operators there are and what describes them.
func (j *judge) operatorsThere(ctx context.Context) error {
	next := int64(0)
	for _, op := range j.sortedOperators() {
		if op.number != next {
			j.spoiled = true
			j.add(LevelStructure, SeverityError, KindOperatorMissing, "state/"+decimal(next), "is missing, though state/%d is there: operators are numbered without gaps", op.number)
		}
		next = op.number + 1
		if err := j.describedOperator(ctx, op); err != nil {
			return err
		}
	}
	return nil
}

// describedOperator reads the metadata of an operator. Spark 3.5 writes none;
// offsets tell that a later version has run.
func (j *judge) describedOperator(ctx context.Context, op *operator) error {
	at, found := j.operatorMetadataPath(op)
	if !found {
		if at != op.dir+"/_metadata/v2" && !j.writtenBy4(ctx) {
			return j.schemaV1(op, nil)
		}
		j.spoiled = j.spoiled || at == op.dir+"/_metadata/v2"
		j.add(LevelStructure, SeverityError, KindOperatorMetadataMissing, at, "is missing")
		return j.schemaV1(op, nil)
	}
	if j.files[at].Size == 0 {
		j.spoiled = true
		return nil // told on level 1
	}
	data, err := read(ctx, j.src, at, largestLogEntry)
	var m *operatorMetadata
	if err == nil {
		m, err = parseOperatorMetadata(at, data)
	}
	if bad, ok := errors.AsType[*formatError](err); ok {
		j.spoiled = j.spoiled || strings.Contains(at, "/_metadata/v2/")
		j.broken(LevelStructure, KindOperatorMetadataMissing, at, "cannot be read: it %s", bad.problem)
		return nil
	}
	if err != nil {
		return doing("read "+at, err)
	}
	j.operatorMeta[op.number] = m
	if m.version == 2 {
		return j.schemaV2(ctx, op, m)
	}
	return j.schemaV1(op, m)
}

// operatorMetadataPath is where the metadata of an operator is, or where it would
// be. Of version 2 there is one file for each batch in which it changed.
func (j *judge) operatorMetadataPath(op *operator) (string, bool) {
	v2 := op.dir + "/_metadata/v2"
	if j.dirs[v2] || j.dirs[op.dir+"/_stateSchema"] {
		newest, any := int64(0), false
		for p := range j.files {
			if path.Dir(p) != v2 {
				continue
			}
			if n, canonical, ok := number(path.Base(p)); ok && canonical && (!any || n > newest) && (!j.offsets.any || n <= j.offsets.max) {
				newest, any = n, true
			}
		}
		if any {
			return v2 + "/" + decimal(newest), true
		}
		return v2, false
	}
	v1 := op.dir + "/_metadata/metadata"
	_, ok := j.files[v1]
	return v1, ok
}

// writtenBy4 tells from a setting that Spark 4.0 began to record.
func (j *judge) writtenBy4(ctx context.Context) bool {
	if !j.commits.any || !j.offsets.has(j.commits.max) {
		return false
	}
	o, err := j.offset(ctx, j.commits.max)
	if err != nil {
		return false
	}
	_, ok := o.conf["spark.sql.streaming.stateStore.encodingFormat"]
	return ok
}

// schemaV1 looks for the schemas of the stores, in partition 0 only.
func (j *judge) schemaV1(op *operator, m *operatorMetadata) error {
	if j.dirs[op.dir+"/_stateSchema"] || j.dirs[op.dir+"/_metadata/v2"] {
		return nil
	}
	names := slices.Sorted(maps.Keys(op.partitions[0]))
	if m != nil {
		names = j.wanted(op, m, nil).names
	}
	for _, name := range names {
		at := path.Join(op.dir, "0", name, "_metadata", "schema")
		if _, ok := j.files[at]; !ok && op.partitions[0] != nil && op.partitions[0][name] != nil {
			j.add(LevelStructure, SeverityError, KindStateSchemaMissing, at, "is missing")
		}
	}
	return nil
}

// schemaV2 looks for the schema files that operator metadata of version 2 names.
func (j *judge) schemaV2(ctx context.Context, op *operator, m *operatorMetadata) error {
	dir := op.dir + "/_stateSchema"
	if !j.dirs[dir] {
		j.spoiled = true
		j.add(LevelStructure, SeverityError, KindStateSchemaMissing, dir, "is missing")
		return nil
	}
	for _, s := range m.Stores {
		for _, recorded := range s.Schemas {
			at, inside := within(j.o.Place, recorded)
			if !inside && j.o.Place != "" && m.boundToPlace() {
				j.spoiled = true
				j.broken(LevelStructure, KindSchemaPathElsewhere, m.path, "names the schema file %s; the root is at %s, and %s starts only where its root was made", clip(recorded), j.o.Place, clip(m.Info.Name))
				continue
			}
			if !inside {
				// Spark finds them anyway; they carry the name that was recorded.
				at = path.Join(dir, path.Base(path.Dir(recorded)), path.Base(recorded))
			}
			if err := j.schemaFile(ctx, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *judge) schemaFile(ctx context.Context, at string) error {
	if _, ok := j.files[at]; !ok {
		j.spoiled = true
		j.add(LevelStructure, SeverityError, KindStateSchemaMissing, at, "is missing, though the operator's metadata names it")
		return nil
	}
	data, err := read(ctx, j.src, at, largestSchema)
	if err == nil {
		err = parseSchema(data)
	}
	if bad, ok := errors.AsType[*formatError](err); ok {
		j.spoiled = true
		j.broken(LevelStructure, KindStateSchemaMissing, at, "%s", bad.problem)
		return nil
	}
	return doing("read "+at, err)
}

// stateGap is a gap of one store.
type stateGap struct {
	kind, path, problem string
}

// stateOf lists the state files that committed batch n needs, or why it cannot be
// gone on with.
func (j *judge) stateOf(ctx context.Context, n int64) ([]stateFile, []stateGap, error) {
	var conf map[string]string
	if j.offsets.has(n) {
		if o, err := j.offset(ctx, n); err == nil {
			conf = o.conf
		} else if !isFormat(err) {
			return nil, nil, doing("read "+j.offsets.path(n), err)
		}
	}
	var ids map[string][][]string
	if j.format2 && j.commits.has(n) {
		c, err := j.commit(ctx, n)
		if err != nil && !isFormat(err) {
			return nil, nil, doing("read "+j.commits.path(n), err)
		}
		if err == nil {
			ids = c.stateIDs
		}
	}
	var files []stateFile
	var gaps []stateGap
	for _, op := range j.sortedOperators() {
		f, g, err := j.stateOfOperator(ctx, op, n+1, conf, ids[decimal(op.number)])
		if err != nil {
			return nil, nil, err
		}
		files, gaps = append(files, f...), append(gaps, g...)
	}
	return files, gaps, nil
}

func (j *judge) stateOfOperator(ctx context.Context, op *operator, version int64, conf map[string]string, ids [][]string) (files []stateFile, gaps []stateGap, err error) {
	want := j.wanted(op, j.operatorMeta[op.number], conf)
	for part := range want.partitions {
		if len(gaps) > mostFindings {
			break
		}
		stores := op.partitions[part]
		if stores == nil {
			gaps = append(gaps, stateGap{KindPartitionMissing, op.dir + "/" + decimal(part), fmt.Sprintf("is missing; the operator has %d partitions", want.partitions)})
			continue
		}
		var named []string
		if part < int64(len(ids)) {
			named = ids[part]
		}
		for _, name := range want.names {
			s := stores[name]
			if s == nil && name == "" {
				s = &stateStore{dir: op.dir + "/" + decimal(part)}
			}
			if s == nil {
				gaps = append(gaps, stateGap{KindPartitionMissing, path.Join(op.dir, decimal(part), name), "is missing; the operator has a store of that name in every partition"})
				continue
			}
			found, g, err := j.rebuild(ctx, conf[confCodec], s, version, named)
			if err != nil {
				return nil, nil, err
			}
			if g != nil {
				gaps = append(gaps, stateGap{KindStateNotRebuildable, g.path, g.problem})
			}
			files = append(files, found...)
		}
	}
	return files, gaps, nil
}

func isFormat(err error) bool { _, ok := errors.AsType[*formatError](err); return ok }

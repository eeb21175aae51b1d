// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrNothingRestorable says that no committed batch of a root can be gone on with.
var ErrNothingRestorable = errors.New("no committed batch of the root is restorable")

// Selection is the restorable set S(N) of one committed batch: a copy of exactly
// these files is a root that Spark goes on with after that batch. Checksums of
// either kind are left out; Spark does without them.
type Selection struct {
	Batch    int64
	QueryID  string
	Provider Provider
	// Files in ascending byte order of their paths.
	Files []Entry
	// Kafka is from where a copy goes on with each of its Kafka sources.
	Kafka []KafkaSpan
	// SecondWriter are the changes of state among the files that are younger than the
	// commit of their batch: a driver that was frozen may have written them when it
	// woke up, and then the set is wrong. A copy that did not keep times has them too.
	SecondWriter []string
	// Recorded are absolute places that the root itself names, such as the schema
	// files of transformWithState. A root that has some starts only there.
	Recorded []string
}

// Select lists the restorable set of a batch. The error wraps
// ErrNothingRestorable, with the reason, when the set is not there; it wraps
// fs.ErrNotExist when a file went away in between.
func (r *Root) Select(ctx context.Context, batch int64) (*Selection, error) {
	j, err := r.structureOnly(ctx)
	if err != nil {
		return nil, err
	}
	return j.selection(ctx, batch)
}

// SelectNewest lists the restorable set of the newest batch that has one. skipped
// are newer committed batches that have none.
func (r *Root) SelectNewest(ctx context.Context) (s *Selection, skipped []int64, err error) {
	j, err := r.structureOnly(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range slices.Backward(r.commits.numbers) {
		s, err = j.selection(ctx, n)
		if err == nil {
			return s, skipped, nil
		}
		if !errors.Is(err, ErrNothingRestorable) {
			return nil, nil, err
		}
		skipped = append(skipped, n)
	}
	if err == nil {
		err = fmt.Errorf("%w: none is committed yet", ErrNothingRestorable)
	}
	return nil, skipped, err
}

// structureOnly judges what listing and small files tell.
func (r *Root) structureOnly(ctx context.Context) (*judge, error) {
	j := newJudge(r, Options{Level: LevelStructure})
	for _, step := range []func(context.Context) error{j.names, j.numbers, j.logs, j.structure} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return j, nil
}

func (j *judge) selection(ctx context.Context, n int64) (*Selection, error) {
	ok, err := j.isRestorable(ctx, n)
	if err != nil {
		return nil, err
	}
	if !ok || j.spoiled || j.damaged["metadata"] {
		return nil, fmt.Errorf("batch %d: %w: %s", n, ErrNothingRestorable, j.whyNot())
	}
	s := &Selection{Batch: n, Provider: j.provider}
	if s.QueryID, err = j.QueryID(ctx); err != nil {
		return nil, err
	}
	o, err := j.offset(ctx, n)
	if err != nil {
		return nil, doing("read "+j.offsets.path(n), err)
	}
	if s.Kafka, err = j.kafkaSpans(ctx, o, n, nil, 0); err != nil {
		return nil, err
	}
	paths, err := j.selectedPaths(ctx, n)
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		s.Files = append(s.Files, j.files[p])
		if j.younger[p] {
			s.SecondWriter = append(s.SecondWriter, p)
		}
	}
	for _, op := range j.sortedOperators() {
		if m := j.operatorMeta[op.number]; m != nil && m.boundToPlace() {
			for _, store := range m.Stores {
				s.Recorded = append(s.Recorded, store.Schemas...)
			}
		}
	}
	return s, nil
}

func (j *judge) whyNot() string {
	for level := LevelNames; level <= LevelRecord; level++ {
		for _, f := range j.findings {
			if f.Level == level && f.Severity == SeverityError {
				return f.Path + " " + f.Message
			}
		}
	}
	return "retention has removed a part of it"
}

func (j *judge) selectedPaths(ctx context.Context, n int64) ([]string, error) {
	out := []string{"metadata", j.offsets.path(n), j.commits.path(n)}
	if n > 0 {
		before, _ := j.previous(n)
		out = append(out, j.offsets.path(before))
	}
	files, _, err := j.stateOf(ctx, n)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		out = append(out, f.Path)
		if f.kind != "zip" {
			continue
		}
		z, err := j.snapshot(ctx, path.Dir(f.Path), f.Entry)
		if isFormat(err) {
			return nil, fmt.Errorf("batch %d: %w: %s %w", n, ErrNothingRestorable, f.Path, err)
		}
		if err != nil {
			return nil, doing("read "+f.Path, err)
		}
		for p, size := range z.shared {
			if e, ok := j.files[p]; !ok || e.Size != size {
				return nil, fmt.Errorf("batch %d: %w: %s is missing or has another size than %s says", n, ErrNothingRestorable, p, f.Path)
			}
			out = append(out, p)
		}
	}
	for p := range j.files {
		if !isCompanion(p) && (top(p) == "sources" || j.describes(p, n)) {
			out = append(out, p)
		}
	}
	return out, nil
}

// describes tells the files that describe operators and stores. Those of later
// batches belong to another timeline once the root goes on after batch n.
func (j *judge) describes(p string, n int64) bool {
	parts := strings.Split(p, "/")
	if parts[0] != "state" || len(parts) < 4 {
		return false
	}
	if parts[2] == "_stateSchema" {
		return true
	}
	if !slices.Contains(parts[2:len(parts)-1], "_metadata") {
		return false
	}
	if parts[len(parts)-2] != "v2" {
		return true
	}
	batch, canonical, ok := number(parts[len(parts)-1])
	return ok && canonical && batch <= n
}

// FindRoots lists the checkpoint roots in a source: directories that hold metadata
// and offsets and do not lie in another one. The source itself may be one: ".".
func FindRoots(ctx context.Context, src Source) ([]string, error) {
	holds := map[string]int{}
	for e, err := range src.List(ctx, ".") {
		if err != nil {
			return nil, err
		}
		switch {
		case e.Name() == "metadata" && !e.Dir:
			holds[path.Dir(e.Path)] |= 1
		case e.Name() == "offsets" && e.Dir:
			holds[path.Dir(e.Path)] |= 2
		}
	}
	var out []string
	for dir, both := range holds {
		if both == 3 {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Clone(out), func(dir string) bool {
		return slices.ContainsFunc(out, func(other string) bool {
			return other != dir && (other == "." || strings.HasPrefix(dir, other+"/"))
		})
	}), nil
}

// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"slices"
)

// ErrNoRoot says that there is no checkpoint to judge: no metadata, no logs, no
// state.
var ErrNoRoot = errors.New("this is no checkpoint root: it holds neither metadata nor offsets, commits, sources or state")

// Root is one look at a checkpoint root. It is not safe for concurrent use.
type Root struct {
	src Source
	*layout
	offsetOf  map[int64]parsed[*offset]
	commitOf  map[int64]parsed[*commit]
	zipOf     map[string]parsed[*snapshotZip]
	lineageOf map[string]parsed[[]lineage]
}

type parsed[T any] struct {
	value T
	err   error
}

// Open lists a root. Files are read later, as far as they are needed.
func Open(ctx context.Context, src Source) (*Root, error) {
	l, err := look(ctx, src)
	if err != nil {
		return nil, err
	}
	if len(l.files) == 0 && !l.dirs["offsets"] && !l.dirs["state"] {
		return nil, ErrNoRoot
	}
	if _, ok := l.files["metadata"]; !ok && !l.dirs["offsets"] && !l.dirs["commits"] && !l.dirs["sources"] && !l.dirs["state"] {
		return nil, ErrNoRoot
	}
	return &Root{src: src, layout: l, offsetOf: map[int64]parsed[*offset]{}, commitOf: map[int64]parsed[*commit]{},
		zipOf: map[string]parsed[*snapshotZip]{}, lineageOf: map[string]parsed[[]lineage]{}}, nil
}

// LastOffset is the newest batch that was planned; false: none.
func (r *Root) LastOffset() (int64, bool) { return r.offsets.max, r.offsets.any }

// LastCommit is the newest batch that was done; false: none.
func (r *Root) LastCommit() (int64, bool) { return r.commits.max, r.commits.any }

// Committed are the batches that have an entry in commits, ascending.
func (r *Root) Committed() []int64 { return r.commits.numbers }

// Provider of the state stores, as far as their files tell it.
func (r *Root) Provider() Provider { return r.provider }

// Files is the number of files that were listed, temporary ones apart, and the
// sum of their sizes in bytes.
func (r *Root) Files() (files int, bytes int64) {
	for _, e := range r.files {
		bytes += e.Size
	}
	return len(r.files), bytes
}

// memo parses a thing once.
func memo[K comparable, T any](cache map[K]parsed[T], key K, parse func() (T, error)) (T, error) {
	p, ok := cache[key]
	if !ok {
		p.value, p.err = parse()
		cache[key] = p
	}
	return p.value, p.err
}

func (r *Root) offset(ctx context.Context, n int64) (*offset, error) {
	return memo(r.offsetOf, n, func() (*offset, error) {
		data, err := read(ctx, r.src, r.offsets.path(n), largestLogEntry)
		if err != nil {
			return nil, err
		}
		return parseOffset(data)
	})
}

func (r *Root) commit(ctx context.Context, n int64) (*commit, error) {
	return memo(r.commitOf, n, func() (*commit, error) {
		data, err := read(ctx, r.src, r.commits.path(n), largestLogEntry)
		if err != nil {
			return nil, err
		}
		return parseCommit(data)
	})
}

func (r *Root) metadata(ctx context.Context) (metadata, error) {
	data, err := read(ctx, r.src, "metadata", largestMetadata)
	if err != nil {
		return metadata{}, err
	}
	return parseMetadata(data)
}

// QueryID is the id of the query in the root's metadata.
func (r *Root) QueryID(ctx context.Context) (string, error) {
	m, err := r.metadata(ctx)
	return m.ID, doing("read metadata", err)
}

// snapshot reads the list of files of a zip.
func (r *Root) snapshot(ctx context.Context, store string, f Entry) (*snapshotZip, error) {
	return memo(r.zipOf, f.Path, func() (*snapshotZip, error) { return openZip(ctx, r.src, store, f, false) })
}

// lineage reads what a changelog of checkpoint format 2 builds upon.
func (r *Root) lineage(ctx context.Context, codec string, f Entry) ([]lineage, error) {
	return memo(r.lineageOf, f.Path, func() ([]lineage, error) {
		body, err := r.src.Open(ctx, f.Path)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		return readLineage(codec, body)
	})
}

// gapsAreNormal says that the query tracks its progress asynchronously: it is
// stateless, and its logs miss the same numbers.
func (r *Root) gapsAreNormal() bool {
	if len(r.operators) > 0 {
		return false
	}
	gap := false
	for i, n := range r.offsets.numbers[min(1, len(r.offsets.numbers)):] {
		gap = gap || n != r.offsets.numbers[i]+1
	}
	return gap && len(r.holes(r.offsets, r.commits)) == 0 && len(r.holes(r.commits, r.offsets)) == 0
}

// holes lists the numbers within l's range that l lacks though other has them,
// and for a query with state also those that both lack.
func (r *Root) holes(l, other *log) []int64 {
	if len(l.numbers) == 0 {
		return nil
	}
	from, to := l.numbers[0], l.numbers[len(l.numbers)-1]
	var out []int64
	for _, n := range other.numbers {
		if n > from && n < to && !l.has(n) {
			out = append(out, n)
		}
	}
	if len(r.operators) == 0 {
		return out
	}
	for i, n := range l.numbers[1:] {
		// One is enough to say so; a range can be as long as a number is large.
		if missing := l.numbers[i] + 1; missing != n && !slices.Contains(out, missing) {
			out = append(out, missing)
		}
	}
	return out
}

// previous is the entry of offsets that batch n builds upon.
func (r *Root) previous(n int64) (int64, bool) {
	if r.gapsAreNormal() {
		return r.offsets.before(n)
	}
	return n - 1, r.offsets.has(n - 1)
}

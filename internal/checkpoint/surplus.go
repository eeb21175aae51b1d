// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"cmp"
	"context"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

// Surplus lists what has to go for the root to go on after committed batch m:
// entries of later batches, all state of versions above m+1, and the checksums of
// either kind of all of these. Left-over snapshots and zips would be taken for
// valid when the new timeline reaches their number; a left-over checksum makes the
// write of its file fail (both seen with real Spark). What a driver that is gone
// has left behind goes as well: temporary files, and checksums whose file is not
// there, of any batch. Shared files of RocksDB and logs of sources stay.
//
// It goes by names alone: whether batch m can be gone on with is judged of the root
// Without them. The order is the one to remove them in: commits before offsets before
// state, so that at no time a commit is there whose state is gone. A path that is a
// directory, which Spark takes for an entry of a log, goes as a whole.
func (r *Root) Surplus(m int64) []string {
	var out []string
	for p := range r.files {
		if beyond(p, m) || r.orphaned(p) {
			out = append(out, p)
		}
	}
	for p := range r.dirs {
		if dir := path.Dir(p); (dir == "offsets" || dir == "commits") && beyond(p, m) {
			out = append(out, p)
		}
	}
	for p := range r.temporary {
		if isOurs(p) || path.Dir(p) == "." {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(removal[top(a)], removal[top(b)]), cmp.Compare(b, a))
	})
	return out
}

var removal = map[string]int{"commits": 1, "offsets": 2, "state": 3, "sources": 4}

// orphaned tells checksums of files that are not there.
func (r *Root) orphaned(p string) bool {
	if !isOurs(p) || !isCompanion(p) {
		return false
	}
	if of, hidden := companionOf(p); hidden {
		if _, there := r.files[of]; !there {
			return true
		}
	}
	name := plainName(p)
	if name == path.Base(p) || top(p) != "state" || !stateName.MatchString(name) {
		return false
	}
	_, there := r.files[path.Join(path.Dir(p), name)]
	return !there
}

// plainName is the name of the file that a file is a checksum of, however often, or
// its own name.
func plainName(p string) string {
	name := path.Base(p)
	for isCompanion(name) {
		name = strings.TrimPrefix(strings.TrimSuffix(name, ".crc"), ".")
	}
	return name
}

// beyond says that a file belongs to the time after batch m.
func beyond(p string, m int64) bool {
	name := plainName(p)
	parts := strings.Split(p, "/")
	switch {
	case len(parts) == 2 && (parts[0] == "offsets" || parts[0] == "commits"):
		n, _, ok := number(name)
		return ok && n > m
	case parts[0] != "state" || len(parts) < 4:
		return false
	case parts[len(parts)-2] == "v2" && parts[len(parts)-3] == "_metadata":
		n, _, ok := number(name)
		return ok && n > m
	}
	match := stateName.FindStringSubmatch(name)
	if match == nil {
		return false
	}
	v, _, ok := number(match[1])
	return ok && v > m+1
}

// Without is a root as it would be without the Surplus of a batch, and without what a
// running query adds to it meanwhile.
func Without(src Source, surplus []string, m int64) Source {
	hidden := map[string]bool{}
	for _, p := range surplus {
		hidden[p] = true
	}
	return &without{src, hidden, m}
}

type without struct {
	src    Source
	hidden map[string]bool
	batch  int64
}

func (w *without) hides(p string) bool {
	for ; p != "." && p != "/"; p = path.Dir(p) {
		if w.hidden[p] || beyond(p, w.batch) {
			return true
		}
	}
	return false
}

// Open implements Source.
func (w *without) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if w.hides(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return w.src.Open(ctx, name)
}

// List implements Source.
func (w *without) List(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range w.src.List(ctx, dir) {
			if err == nil && w.hides(e.Path) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// log is a directory of numbered entries.
type log struct {
	dir     string
	entries map[int64]Entry
	numbers []int64 // ascending
	// max is the number that Spark takes for the newest, padded names included.
	max     int64
	any     bool
	badName []string
}

func (l *log) has(n int64) bool { _, ok := l.entries[n]; return ok }

func (l *log) path(n int64) string { return l.dir + "/" + decimal(n) }

// before returns the highest entry below n.
func (l *log) before(n int64) (int64, bool) {
	i, _ := slices.BinarySearch(l.numbers, n)
	if i == 0 {
		return 0, false
	}
	return l.numbers[i-1], true
}

func (l *log) add(e Entry) {
	if path.Dir(e.Path) != l.dir || isTemporary(e.Path) {
		return
	}
	n, canonical, ok := number(e.Name())
	switch {
	case !ok:
		return // not an entry; Spark passes it over
	case e.Dir:
		l.badName = append(l.badName, e.Path)
		return
	case !canonical:
		l.badName = append(l.badName, e.Path)
	default:
		l.entries[n] = e
	}
	if !l.any || n > l.max {
		l.max, l.any = n, true
	}
}

// sourceLog is the log of one source of a query.
type sourceLog struct {
	dir     string
	plain   map[int64]bool
	compact map[int64]bool
	max     int64
	any     bool
}

func (s *sourceLog) has(n int64) bool { return s.plain[n] || s.compact[n] }

// stateFile is a file of a state store that counts for a version.
type stateFile struct {
	Entry
	version int64
	// id is the unique id of a file of checkpoint format 2.
	id   string
	kind string // delta, snapshot, zip, changelog
}

// stateStore is one store of one partition of an operator.
type stateStore struct {
	dir   string
	files []stateFile
}

func (s *stateStore) find(kind string, version int64, id string) (stateFile, bool) {
	i, ok := slices.BinarySearchFunc(s.files, stateFile{version: version, id: id, kind: kind}, compareStateFiles)
	if !ok {
		return stateFile{}, false
	}
	return s.files[i], true
}

func (s *stateStore) hasVersion(version int64) bool {
	return slices.ContainsFunc(s.files, func(f stateFile) bool { return f.version == version })
}

// newest returns the newest file of a kind with at most that version.
func (s *stateStore) newest(kind string, atMost int64) (stateFile, bool) {
	for _, f := range slices.Backward(s.files) {
		if f.kind == kind && f.version <= atMost && f.id == "" {
			return f, true
		}
	}
	return stateFile{}, false
}

func compareStateFiles(a, b stateFile) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
}

// operator is a stateful operator: partition -> store name -> store. The default
// store has no name.
type operator struct {
	number     int64
	dir        string
	partitions map[int64]map[string]*stateStore
}

// layout is what the names in a root say.
type layout struct {
	files     map[string]Entry
	temporary map[string]bool
	dirs      map[string]bool
	offsets   *log
	commits   *log
	sources   map[string]*sourceLog
	operators map[int64]*operator
	// newestOffset as it was after the state was listed: a running query goes on
	// while we look.
	newestOffset int64
	anyOffset    bool
	anyState     bool
	format2      bool
	provider     Provider
}

// look lists a root in an order in which a running query makes nothing look
// broken: logs until they hold still for a moment, then the rest, then the offsets
// once more.
func look(ctx context.Context, src Source) (*layout, error) {
	l := &layout{files: map[string]Entry{}, temporary: map[string]bool{}, dirs: map[string]bool{}, sources: map[string]*sourceLog{}, operators: map[int64]*operator{}}
	if err := l.readLogs(ctx, src); err != nil {
		return nil, err
	}
	for e, err := range src.List(ctx, ".") {
		if err != nil {
			return nil, err
		}
		if in := top(e.Path); in == "offsets" || in == "commits" {
			continue
		}
		l.add(e)
	}
	after, err := listLog(ctx, src, "offsets", nil)
	if err != nil {
		return nil, err
	}
	l.newestOffset, l.anyOffset = after.max, after.any
	l.arrange()
	return l, nil
}

func top(p string) string { first, _, _ := strings.Cut(p, "/"); return first }

func (l *layout) readLogs(ctx context.Context, src Source) error {
	for attempt := range 5 {
		before, err := listLog(ctx, src, "commits", nil)
		if err != nil {
			return err
		}
		if l.offsets, err = listLog(ctx, src, "offsets", l); err != nil {
			return err
		}
		if l.commits, err = listLog(ctx, src, "commits", l); err != nil {
			return err
		}
		if before.any != l.commits.any || before.max != l.commits.max {
			continue
		}
		// Offsets whose first are gone were committed. Without commits beside them,
		// retention took away all that was listed before it could be looked at; or
		// they are really lost.
		if passed := !l.commits.any && l.offsets.any && l.offsets.numbers[0] > 0; !passed || attempt == 4 {
			return nil
		}
	}
	return errors.New("the logs of the root do not hold still: batches end faster than they can be listed")
}

// listLog lists offsets or commits, and enters what it finds into l.
func listLog(ctx context.Context, src Source, dir string, l *layout) (*log, error) {
	out := &log{dir: dir, entries: map[int64]Entry{}}
	if l != nil {
		maps.DeleteFunc(l.files, func(p string, _ Entry) bool { return top(p) == dir })
	}
	for e, err := range src.List(ctx, dir) {
		if err != nil {
			return nil, err
		}
		out.add(e)
		if l != nil {
			l.add(e)
		}
	}
	out.numbers = slices.Sorted(maps.Keys(out.entries))
	return out, nil
}

func (l *layout) add(e Entry) {
	if e.Dir {
		l.dirs[e.Path] = true
		return
	}
	switch {
	case strings.HasPrefix(e.Path, ownPrefix):
	case isTemporary(e.Path):
		l.temporary[e.Path] = true
	default:
		l.files[e.Path] = e
	}
}

// arrange sorts files and directories into stores and logs.
func (l *layout) arrange() {
	for p := range l.dirs {
		parts := strings.Split(p, "/")
		if parts[0] == "state" && len(parts) > 1 {
			l.addStateDir(parts)
		}
	}
	for _, e := range l.files {
		parts := strings.Split(e.Path, "/")
		switch {
		case parts[0] == "sources" && len(parts) == 3 && !isCompanion(e.Path):
			l.addSourceEntry(parts[1], parts[2])
		case parts[0] == "state" && (len(parts) == 4 || len(parts) == 5):
			l.addStateFile(e, parts)
		}
	}
	for s := range l.stores() {
		slices.SortFunc(s.files, compareStateFiles)
		for _, f := range s.files {
			l.provider = max(l.provider, providerOf[f.kind])
		}
	}
}

func (l *layout) addSourceEntry(id, name string) {
	s := l.sources[id]
	if s == nil {
		s = &sourceLog{dir: "sources/" + id, plain: map[int64]bool{}, compact: map[int64]bool{}}
		l.sources[id] = s
	}
	base, compacted := strings.CutSuffix(name, ".compact")
	n, canonical, ok := number(base)
	if !ok || !canonical {
		return
	}
	if compacted {
		s.compact[n] = true
	} else {
		s.plain[n] = true
	}
	if !s.any || n > s.max {
		s.max, s.any = n, true
	}
}

// addStateDir makes the store that a directory stands for, even if it is empty.
func (l *layout) addStateDir(parts []string) {
	op, canonical, ok := number(parts[1])
	if !ok || !canonical {
		return
	}
	o := l.operators[op]
	if o == nil {
		o = &operator{number: op, dir: "state/" + parts[1], partitions: map[int64]map[string]*stateStore{}}
		l.operators[op] = o
	}
	if len(parts) < 3 {
		return
	}
	part, canonical, ok := number(parts[2])
	if !ok || !canonical {
		return
	}
	stores := o.partitions[part]
	if stores == nil {
		stores = map[string]*stateStore{}
		o.partitions[part] = stores
	}
	if len(parts) == 4 && isStoreName(parts[3]) && stores[parts[3]] == nil {
		stores[parts[3]] = &stateStore{dir: path.Join(parts...)}
	}
}

// isStoreName tells a named store from the other directories of a partition.
func isStoreName(name string) bool { return name != "_metadata" && name != "SSTs" && name != "logs" }

func (l *layout) addStateFile(e Entry, parts []string) {
	m := stateName.FindStringSubmatch(parts[len(parts)-1])
	if m == nil {
		return
	}
	version, canonical, ok := number(m[1])
	op, _, isOp := number(parts[1])
	part, _, isPart := number(parts[2])
	if !ok || !canonical || !isOp || !isPart || l.operators[op] == nil || l.operators[op].partitions[part] == nil {
		return
	}
	name := ""
	if len(parts) == 5 {
		name = parts[3]
	}
	stores := l.operators[op].partitions[part]
	if stores[name] == nil {
		if len(parts) == 5 {
			return // SSTs, logs and the like
		}
		stores[name] = &stateStore{dir: path.Dir(e.Path)}
	}
	f := stateFile{Entry: e, version: version, id: m[2], kind: m[3]}
	stores[name].files = append(stores[name].files, f)
	l.anyState = true
	l.format2 = l.format2 || f.id != ""
}

// stores yields every state store of the root.
func (l *layout) stores() iter.Seq[*stateStore] {
	return func(yield func(*stateStore) bool) {
		for _, op := range l.operators {
			for _, stores := range op.partitions {
				for _, s := range stores {
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// Provider of the state stores of a root.
type Provider int

// Providers, as far as the files of a root tell them.
const (
	ProviderNone Provider = iota
	ProviderHDFS
	ProviderRocksDB
	ProviderRocksDBChangelog
)

var providerOf = map[string]Provider{"delta": ProviderHDFS, "snapshot": ProviderHDFS, "zip": ProviderRocksDB, "changelog": ProviderRocksDBChangelog}

func (p Provider) String() string {
	return [...]string{"none", "hdfs", "rocksdb", "rocksdb-changelog"}[p]
}

// MarshalText implements encoding.TextMarshaler.
func (p Provider) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// isGone says that a file went away while the root was judged.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// doing adds what was being done to an error.
func doing(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

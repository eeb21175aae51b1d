// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"maps"
	"path"
)

// maintenance of one store decides what to do when its turn comes: a snapshot of
// the newest version in memory, whether its batch is committed or not, and then
// the removal of what no retained version needs.
func (s *store) maintenance() []operation {
	return []operation{func() bool {
		s.query.beside(append(s.snapshot(), func() bool {
			s.query.beside(append(s.cleanup(), func() bool { s.maintained = false; return false }))
			return false
		}))
		return false
	}}
}

// snapshot uploads the whole content, if enough changed since the last time.
// Plain RocksDB does so with every version.
func (s *store) snapshot() []operation {
	content, finished := s.loaded[s.version]
	kind := "snapshot"
	if s.query.settings.Provider == RocksDBChangelog {
		kind = "zip"
	}
	newest := max(0, last(s.query.files.numbers(s.dir, "."+kind)))
	if !finished || s.query.settings.Provider == RocksDB || s.version-newest < int64(s.query.settings.SnapshotAfter) {
		return nil
	}
	if kind == "zip" {
		return s.upload(s.version, content, "")
	}
	return s.query.write(s.file(s.version, kind), "", compress(content.all().encode()))
}

// cleanup removes state files as far as all retained versions stay rebuildable:
// shared files first, then those that name them.
func (s *store) cleanup() []operation {
	files := s.query.files
	kinds := map[Provider][]string{HDFS: {"snapshot", "delta"}, RocksDB: {"zip"}, RocksDBChangelog: {"zip", "changelog"}}[s.query.settings.Provider]
	newest := last(files.numbers(s.dir, "."+kinds[len(kinds)-1]))
	base := int64(0)
	for _, v := range files.numbers(s.dir, "."+kinds[0]) {
		if v <= newest-s.query.settings.Retain {
			base = v
		}
	}
	if base == 0 {
		return nil
	}
	var out []operation
	if s.query.settings.Provider != HDFS {
		for _, name := range s.unshared(base) {
			out = append(out, s.query.remove(name)...)
		}
	}
	for _, kind := range kinds {
		for _, v := range files.numbers(s.dir, "."+kind) {
			if v < base {
				out = append(out, s.query.remove(s.file(v, kind))...)
			}
		}
	}
	return out
}

// unshared lists the SSTs that only zips before a version name, and those that no
// zip names and that are older than all zips.
func (s *store) unshared(base int64) []string {
	files := s.query.files
	kept, dropped := map[string]bool{}, map[string]bool{}
	oldest := files.writes
	for _, v := range files.numbers(s.dir, ".zip") {
		file, _ := files.Get(s.file(v, "zip"))
		oldest = min(oldest, file.Number)
		shared, err := sharedFiles(file.Content)
		if err != nil {
			panic(err)
		}
		for _, f := range shared {
			if v < base {
				dropped[f.Name] = true
			} else {
				kept[f.Name] = true
			}
		}
	}
	var out []string
	for _, name := range files.Below(path.Join(s.dir, "SSTs")) {
		base := path.Base(name)
		file, _ := files.Get(name)
		if path.Ext(base) == ".sst" && !kept[base] && (dropped[base] || file.Number < oldest) {
			out = append(out, name)
		}
	}
	return out
}

// load reads a version as Spark does: the newest snapshot or zip at or below it,
// and all changes since.
func (s *store) load(version int64) error {
	s.version, s.shared = version, nil
	clear(s.fresh)
	content := table{}
	from, err := s.loadSnapshot(version, content)
	if err != nil {
		return err
	}
	kind := "delta"
	if s.query.settings.Provider != HDFS {
		kind = "changelog"
	}
	for v := from + 1; v <= version; v++ {
		found, err := s.loadChanges(s.file(v, kind))
		if err != nil {
			return err
		}
		found.apply(content)
		maps.Insert(s.fresh, touched(found))
	}
	s.loaded = map[int64]table{version: content}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
)

// store is one state store of one partition, as its executor holds it.
type store struct {
	query      *Query
	operator   int
	partition  int64
	partitions int
	salt       uint64
	dir        string
	// version and content in memory, and of the versions that are loaded.
	version int64
	loaded  map[int64]table
	// shared files that hold the content (RocksDB), and what changed since the
	// newest of them was made.
	shared []sharedFile
	fresh  map[uint64]bool
	files  int
	// maintained while a maintenance runs.
	maintained bool
}

// sharedFile is an SST.
type sharedFile struct {
	Name string `json:"dfsSstFileName"`
	Size int    `json:"sizeBytes"`
}

func (q *Query) newStores() []*store {
	var out []*store
	for op := range q.settings.Operators {
		for p := range q.settings.Partitions {
			for i, name := range q.settings.Stores {
				out = append(out, &store{
					query: q, operator: op, partition: int64(p), partitions: q.settings.Partitions, salt: uint64(i),
					dir: path.Join("state", fmt.Sprint(op), fmt.Sprint(p), name), loaded: map[int64]table{0: {}}, fresh: map[uint64]bool{},
				})
			}
		}
	}
	return out
}

func (s *store) file(version int64, kind string) string {
	return fmt.Sprintf("%s/%d.%s", s.dir, version, kind)
}

// run is the task of a batch: it makes the next version of the store, also when
// nothing changed.
func (s *store) run(from, to int64) []operation {
	now := maps.Clone(s.loaded[s.version])
	changed := now.add(s, from, to)
	maps.Copy(s.fresh, changed)
	s.version++
	version := s.version
	task := fmt.Sprintf(".TID%d", s.query.rng.IntN(1000))
	var out []operation
	switch s.query.settings.Provider {
	case HDFS:
		out = s.query.write(s.file(version, "delta"), task, compress(now.changes(changed).encode()))
	case RocksDBChangelog:
		out = s.query.write(s.file(version, "changelog"), task, compress(now.changes(changed).encode()))
	case RocksDB:
		out = s.upload(version, now, task)
	}
	return append(out, func() bool {
		s.loaded[version] = now
		delete(s.loaded, version-3)
		return false
	})
}

// upload sends new SSTs, and then the zip that names all of them.
func (s *store) upload(version int64, now table, task string) []operation {
	content := now.changes(s.fresh).encode()
	if s.files++; len(s.shared) >= 4 {
		s.shared, content = nil, now.all().encode() // compacted
	}
	clear(s.fresh)
	name := fmt.Sprintf("%06d-%s.sst", s.files, s.query.uuid())
	s.shared = append(slices.Clone(s.shared), sharedFile{name, len(content)})
	at := path.Join(s.dir, "SSTs", name)
	out := []operation{
		func() bool { s.query.files.Put(at, content[:len(content)/2]); return true }, // not by rename
		func() bool { s.query.files.Put(at, content); return true },
	}
	if s.query.settings.Checksums {
		out = append(out, func() bool { s.query.files.Put(companion(at), hadoopChecksums(content)); return true })
	}
	return append(out, s.query.write(s.file(version, "zip"), task, archive(s.shared))...)
}

// archive is a zip of RocksDB's small files, of which one lists the SSTs.
func archive(shared []sharedFile) []byte {
	list, err := json.Marshal(map[string]any{"sstFiles": shared, "numKeys": 1})
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, entry := range []struct{ name, content string }{{"CURRENT", "MANIFEST-000005\n"}, {"metadata", "v1\n" + string(list)}} {
		file, err := w.CreateHeader(&zip.FileHeader{Name: entry.name, Method: zip.Store})
		if err == nil {
			_, err = file.Write([]byte(entry.content))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func sharedFiles(content []byte) ([]sharedFile, error) {
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	file, err := r.Open("metadata")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var list struct {
		SSTs []sharedFile `json:"sstFiles"`
	}
	var version [3]byte
	if _, err := file.Read(version[:]); err != nil || string(version[:]) != "v1\n" {
		return nil, fmt.Errorf("list of shared files of version %q: %w", version, err)
	}
	err = json.NewDecoder(file).Decode(&list)
	return list.SSTs, err
}

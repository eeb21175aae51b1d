// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
	"sparkpipeline.dev/operator/internal/sparksim"
)

const simulatedPrefix = "p/simulated/"

// saw looks at what an operation on the bucket did: a new manifest is judged, and
// what a manifest names must not go or change.
func (s *simulation) saw(operation, key string) {
	body, there := s.object(key)
	id, isPoint := strings.CutPrefix(key, simulatedPrefix+"points/")
	id = strings.TrimSuffix(id, ".json")
	switch {
	case isPoint && there && s.points[id] == nil:
		s.points[id] = s.judge(id, body)
		s.tally.Points++
		for _, name := range s.points[id] {
			s.named[name]++
		}
	case isPoint && !there && s.points[id] != nil:
		for _, name := range s.points[id] {
			s.named[name]--
		}
		delete(s.points, id)
	case s.named[key] > 0 && !there:
		s.t.Errorf("%s took away %s, which %d places in points name", operation, key, s.named[key])
	case s.named[key] > 0 && operation == "Put":
		s.t.Errorf("%s was written again, and %d places in points name it", key, s.named[key])
	}
}

func (s *simulation) object(key string) ([]byte, bool) {
	body, _, err := s.store.Get(context.Background(), key, objectstore.Range{})
	if err != nil {
		return nil, false
	}
	content, err := io.ReadAll(body)
	return content, err == nil
}

// simulatedManifest is what a manifest says, read without the code that wrote it.
type simulatedManifest struct {
	Roots []struct {
		Root  string
		Batch int64
		List  struct{ Key string }
	}
}

// judge restores a point by the code of the restore command, lets the simulated
// query go on with it, and returns the keys that the point names.
func (s *simulation) judge(id string, manifest []byte) (named []string) {
	var m simulatedManifest
	if err := json.Unmarshal(manifest, &m); err != nil || len(m.Roots) == 0 {
		s.t.Errorf("manifest of %s: %v", id, err)
		return []string{}
	}
	for _, root := range m.Roots {
		listed, err := s.listed(simulatedPrefix + root.List.Key)
		if err != nil {
			s.t.Errorf("point %s, root %s: %v", id, root.Root, err)
		}
		named = append(append(named, simulatedPrefix+root.List.Key), listed...)
	}
	for _, key := range named {
		if _, err := s.store.Head(context.Background(), key); err != nil {
			s.t.Errorf("point %s names %s: %v", id, key, err)
		}
	}
	target, err := s.restore(id)
	if err != nil {
		s.t.Errorf("point %s: %v", id, err)
		return named
	}
	for _, root := range m.Roots {
		files := restored(target, path.Join("r", root.Root)+"/")
		rng := rand.New(rand.NewPCG(s.seed, uint64(s.tally.Points)))
		if err := sparksim.Judge(files, s.query(root.Root).settings, rng); err != nil {
			s.t.Errorf("point %s, root %s, batch %d, %+v: %v", id, root.Root, root.Batch, s.query(root.Root).settings, err)
		}
	}
	return named
}

// restore is the work of the command, with its verification on all levels, to a
// bucket of its own.
func (s *simulation) restore(id string) (*objectstoretest.Memory, error) {
	repo, err := backup.Open(s.store, backup.Options{Prefix: "p", Owner: "simulated", Spool: s.spool})
	if err != nil {
		return nil, err
	}
	memory := &objectstoretest.Memory{}
	to := prefix{memory, "memory", "r/"}
	j := &rootJudge{target: to, as: to.place("."), level: 6}
	o := backup.RestoreOptions{Point: id, Place: j.as, Judge: j.record}
	o.Target, o.Bucket = to.of()
	_, err = repo.Restore(context.Background(), o)
	return memory, err
}

// listed are the keys in the list of a root.
func (s *simulation) listed(key string) ([]string, error) {
	body, _, err := s.store.Get(context.Background(), key, objectstore.Range{})
	if err != nil {
		return nil, err
	}
	plain, err := gzip.NewReader(body)
	if err != nil {
		return nil, err
	}
	var named []string
	for lines := bufio.NewScanner(plain); lines.Scan(); {
		var e struct{ Object string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return named, fmt.Errorf("%s: %w", lines.Text(), err)
		}
		if e.Object != "" {
			named = append(named, simulatedPrefix+e.Object)
		}
	}
	return named, nil
}

// restored are the files of a root below a prefix of a bucket.
func restored(bucket *objectstoretest.Memory, below string) *sparksim.Files {
	files := sparksim.NewFiles()
	for _, key := range bucket.Keys() {
		name, found := strings.CutPrefix(key, below)
		if !found || strings.HasPrefix(name, ".sparkpipeline-") {
			continue
		}
		body, info, err := bucket.Get(context.Background(), key, objectstore.Range{})
		if err != nil {
			panic(err)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			panic(err)
		}
		files.Copy(name, sparksim.File{Content: content, ModTime: info.ModTime})
	}
	return files
}

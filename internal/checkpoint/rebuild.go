// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
)

// gap says why a version of a store cannot be rebuilt.
type gap struct {
	// path of the file that is missing, or of the store if it lacks everything.
	path    string
	problem string
}

// rebuild lists the state files from which Spark rebuilds a version of a store:
// those that it would read, which is the newest snapshot or zip at or below the
// version and every delta or changelog above it. ids are the unique ids that the
// commit gives the stores of the partition, with checkpoint format 2.
//
// Content that cannot be read as it should is a gap as well; an error means that
// the root could not be judged.
func (r *Root) rebuild(ctx context.Context, codec string, s *stateStore, version int64, ids []string) ([]stateFile, *gap, error) {
	if version == 0 {
		return nil, nil, nil
	}
	if r.format2 {
		return r.rebuildByID(ctx, codec, s, version, ids)
	}
	full, change := "snapshot", "delta"
	if r.provider >= ProviderRocksDB {
		full, change = "zip", "changelog"
	}
	var out []stateFile
	from := int64(0)
	if f, ok := s.newest(full, version); ok {
		out, from = append(out, f), f.version
	}
	if from == 0 && version-from > int64(len(s.files)) {
		return nil, r.nothingToStartFrom(s, change, version), nil
	}
	for v := from + 1; v <= version; v++ {
		f, ok := s.find(change, v, "")
		if !ok {
			return nil, r.missing(s, change, v, version), nil
		}
		out = append(out, f)
	}
	return out, nil, nil
}

// missing names the file whose absence counts.
func (r *Root) missing(s *stateStore, change string, v, version int64) *gap {
	if r.provider == ProviderRocksDB {
		change, v = "zip", version
	}
	name := path.Join(s.dir, decimal(v)+"."+change)
	return &gap{name, fmt.Sprintf("state version %d cannot be rebuilt: %s is missing", version, path.Base(name))}
}

// nothingToStartFrom is for stores in which so many files are missing that none
// can be named, unless all others are there.
func (r *Root) nothingToStartFrom(s *stateStore, change string, version int64) *gap {
	var absent []int64
	for v := version; v > 0 && len(absent) < 2 && version-v <= int64(len(s.files)); v-- {
		if _, ok := s.find(change, v, ""); !ok {
			absent = append(absent, v)
		}
	}
	if len(absent) == 1 {
		return r.missing(s, change, absent[0], version)
	}
	if r.provider == ProviderRocksDB {
		return r.missing(s, change, version, version)
	}
	return &gap{s.dir, fmt.Sprintf("state version %d cannot be rebuilt: neither a snapshot nor all changes since version 1 are there", version)}
}

// rebuildByID follows checkpoint format 2: the commit names the exact file, and a
// changelog names what it builds upon.
func (r *Root) rebuildByID(ctx context.Context, codec string, s *stateStore, version int64, ids []string) ([]stateFile, *gap, error) {
	for _, id := range ids {
		if f, ok := s.find("zip", version, id); ok {
			// The zip is enough for Spark; its changelog is written beside it and
			// belongs to the same batch, so both are kept together.
			if c, ok := s.find("changelog", version, id); ok {
				return []stateFile{f, c}, nil, nil
			}
			return []stateFile{f}, nil, nil
		}
		if f, ok := s.find("changelog", version, id); ok {
			return r.followLineage(ctx, codec, s, f)
		}
	}
	g := &gap{s.dir, fmt.Sprintf("state version %d cannot be rebuilt: the file that the commit names is missing", version)}
	if len(ids) == 1 && validSourceID(ids[0]) && r.provider == ProviderRocksDB && !s.hasVersion(version) {
		g.path = path.Join(s.dir, decimal(version)+"_"+clip(ids[0])+".zip")
	}
	return nil, g, nil
}

func (r *Root) followLineage(ctx context.Context, codec string, s *stateStore, f stateFile) ([]stateFile, *gap, error) {
	from, err := r.lineage(ctx, codec, f.Entry)
	if _, bad := errors.AsType[*formatError](err); bad {
		return nil, &gap{f.Path, "its lineage cannot be read: " + err.Error()}, nil
	}
	if errors.Is(err, errUnknownCodec) {
		return nil, &gap{f.Path, "its lineage cannot be read: it is " + err.Error()}, nil
	}
	if err != nil {
		return nil, nil, doing("read the lineage of "+f.Path, err)
	}
	var out []stateFile
	for i, step := range from {
		kinds := []string{"changelog"}
		if i == 0 {
			kinds = []string{"zip", "changelog"}
		}
		found := false
		for _, kind := range kinds {
			if b, ok := s.find(kind, step.Version, step.ID); ok {
				out, found = append(out, b), true
				break
			}
		}
		if !found {
			return nil, &gap{path.Join(s.dir, decimal(step.Version)+"_"+clip(path.Base(step.ID))+"."+kinds[0]),
				fmt.Sprintf("state version %d cannot be rebuilt: a file of its lineage is missing", f.version)}, nil
		}
	}
	return append(out, f), nil, nil
}

// storesOf are the stores of an operator that must be there.
type storesOf struct {
	partitions int64
	names      []string // "" is the default store
}

// wanted tells the stores of an operator from its metadata; without one, from the
// number of shuffle partitions that the offsets record and the stores that any
// partition has.
func (r *Root) wanted(op *operator, m *operatorMetadata, conf map[string]string) storesOf {
	var w storesOf
	if m != nil {
		for _, s := range m.Stores {
			w.names = append(w.names, storeDir(s.Name))
			w.partitions = max(w.partitions, s.Partitions)
		}
		return w
	}
	names := map[string]bool{}
	for part, stores := range op.partitions {
		w.partitions = max(w.partitions, part+1)
		for name := range stores {
			names[name] = true
		}
	}
	w.names = slices.Sorted(maps.Keys(names))
	if n, _, ok := number(conf["spark.sql.shuffle.partitions"]); ok && n > 0 && n <= mostPartitions {
		w.partitions = n
	}
	w.partitions = min(w.partitions, mostPartitions)
	return w
}

// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path"
	"strings"
)

// Errors of Start and Judge.
var (
	// ErrDies says that the query would not start, or stop in its first batch.
	ErrDies = errors.New("the query dies")
	// ErrWrong says that the query goes on and its results are wrong.
	ErrWrong = errors.New("silently wrong")
)

func dies(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDies, fmt.Errorf(format, args...))
}

func touched(c changes) iter.Seq2[uint64, bool] {
	return func(yield func(uint64, bool) bool) {
		for key := range c {
			if !yield(key, true) {
				return
			}
		}
	}
}

// loadSnapshot reads the newest snapshot or zip at or below a version and returns
// its version; 0 if there is none.
func (s *store) loadSnapshot(version int64, into table) (int64, error) {
	kind := map[Provider]string{HDFS: "snapshot", RocksDB: "zip", RocksDBChangelog: "zip"}[s.query.settings.Provider]
	from := int64(0)
	for _, v := range s.query.files.numbers(s.dir, "."+kind) {
		if v <= version {
			from = v
		}
	}
	if s.query.settings.Provider == RocksDB {
		from = version // nothing else will do
	}
	if from == 0 {
		return 0, nil
	}
	name := s.file(from, kind)
	if kind == "snapshot" {
		found, err := s.loadChanges(name)
		found.apply(into)
		return from, err
	}
	file, there := s.query.files.Get(name)
	if !there {
		return 0, dies("%s does not exist", name)
	}
	shared, err := sharedFiles(file.Content)
	if err != nil {
		return 0, dies("%s: %w", name, err)
	}
	s.shared = shared
	return from, s.loadShared(into)
}

func (s *store) loadShared(into table) error {
	for _, f := range s.shared {
		name := path.Join(s.dir, "SSTs", f.Name)
		file, there := s.query.files.Get(name)
		if !there || len(file.Content) != f.Size {
			return dies("%s does not exist or has %d bytes instead of %d", name, len(file.Content), f.Size)
		}
		found, err := decode(file.Content)
		if err != nil {
			return dies("%s: %w", name, err)
		}
		found.apply(into)
	}
	return nil
}

func (s *store) loadChanges(name string) (changes, error) {
	file, there := s.query.files.Get(name)
	if !there {
		return nil, dies("%s does not exist", name)
	}
	plain, err := decompress(file.Content)
	if err != nil {
		return nil, dies("%s: %w", name, err)
	}
	found, err := decode(plain)
	if err != nil {
		return nil, dies("%s: %w", name, err)
	}
	return found, nil
}

// Start starts the query on a root as Spark does: a new one, after its newest
// batch, or with the batch that was in flight. Where Spark only warns, that it
// skips batches, this is an error too.
func Start(files *Files, settings Settings, rng *rand.Rand) (*Query, error) {
	q := &Query{settings: settings, files: files, rng: rng, entry: -1}
	q.stores = q.newStores()
	if _, there := files.Get("metadata"); !there {
		for _, write := range q.write("metadata", "", fmt.Appendf(nil, "{\"id\":%q}", q.uuid())) {
			write()
		}
	}
	planned, committed := last(files.numbers("offsets", "")), last(files.numbers("commits", ""))
	switch {
	case planned < 0 && committed >= 0:
		return nil, dies("there are commits and no offsets")
	case committed > planned:
		return nil, dies("batch %d is committed and not planned: its sink is written again, then its commit is there already", committed)
	case planned-committed > 1:
		return nil, fmt.Errorf("%w: the batches from %d to %d are skipped", ErrWrong, committed+1, planned-1)
	}
	return q, q.resume(planned, planned > committed)
}

// resume takes up the query where the logs say it was.
func (q *Query) resume(planned int64, again bool) error {
	done := planned
	if again {
		done--
	}
	var err error
	if q.from, err = q.files.rowsAt(done, q.settings.FileSource); err != nil {
		return dies("%w", err)
	}
	if q.to, err = q.files.rowsAt(planned, q.settings.FileSource); err != nil {
		return dies("%w", err)
	}
	if !again && planned > 0 { // Spark reads the entry before the newest in any case
		if _, err := q.files.rowsAt(planned-1, q.settings.FileSource); err != nil {
			return dies("%w", err)
		}
	}
	q.batch, q.planned = done+1, again
	for _, s := range q.stores {
		if err := s.load(done + 1); err != nil {
			return err
		}
	}
	return q.resumeSource()
}

func (q *Query) resumeSource() error {
	if !q.settings.FileSource {
		return nil
	}
	lines, err := q.files.sourceLog()
	if err != nil {
		return dies("%w", err)
	}
	q.entry = int64(len(lines)) - 1
	if q.entry >= 0 {
		if q.logged, err = entryEnd(lines[q.entry]); err != nil {
			return dies("%w", err)
		}
	}
	return nil
}

// right compares the state in memory with the rows that were read.
func (q *Query) right() error {
	for _, s := range q.stores {
		if have, want := s.loaded[s.version], s.wanted(q.from); !have.equal(want) {
			return fmt.Errorf("%w: version %d of %s holds %d keys, which are not those of %d rows (%d keys)",
				ErrWrong, s.version, s.dir, len(have), q.from, len(want))
		}
	}
	return nil
}

// Judge starts a query on a copy of a root, lets it go on with batches that are cut
// otherwise than those of the original, and restarts it after each until it has
// passed every version that is there. The error wraps ErrDies or ErrWrong.
func Judge(files *Files, settings Settings, rng *rand.Rand) error {
	files, settings.Checksums = files.Clone(), false
	newest := files.newestVersion()
	for restarts := 0; ; restarts++ {
		q, err := Start(files, settings, rng)
		if err != nil {
			return fmt.Errorf("restart %d: %w", restarts+1, err)
		}
		if err := q.right(); err != nil {
			return fmt.Errorf("restart %d: %w", restarts+1, err)
		}
		if restarts >= 2 && q.batch > newest {
			return nil
		}
		q.quiet = true
		for batch := q.batch; q.batch == batch; {
			q.step()
		}
	}
}

// newestVersion of any state file, whatever its kind.
func (f *Files) newestVersion() int64 {
	newest := int64(0)
	for name := range f.files {
		var version int64
		var kind string
		if strings.HasPrefix(name, "state/") {
			if n, _ := fmt.Sscanf(path.Base(name), "%d.%s", &version, &kind); n == 2 {
				newest = max(newest, version)
			}
		}
	}
	return newest
}

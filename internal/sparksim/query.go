// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"fmt"
	"math/rand/v2"
	"path"
)

// Provider of the state stores.
type Provider int

// Providers.
const (
	HDFS Provider = iota
	RocksDB
	RocksDBChangelog
)

func (p Provider) String() string { return [...]string{"hdfs", "rocksdb", "rocksdb-changelog"}[p] }

// Settings of a query. They are the same for its whole life.
type Settings struct {
	Provider Provider
	// Operators with state, and the names of the stores of each; "" is the store
	// that has no name.
	Operators int
	Stores    []string
	// Partitions of the state (spark.sql.shuffle.partitions).
	Partitions int
	// Retain is spark.sql.streaming.minBatchesToRetain.
	Retain int64
	// SnapshotAfter is how many changes make maintenance write a snapshot.
	SnapshotAfter int
	// FileSource keeps a log of what was read below sources/, compacted every
	// tenth entry. Else the position is in the offsets alone, as Kafka's.
	FileSource bool
	// Checksums are written beside every file, as on a mounted volume.
	Checksums bool
}

// Draw makes settings that differ by seed.
func Draw(rng *rand.Rand) Settings {
	stores := [][]string{{""}, {""}, {"left-keyToNumValues", "right-keyToNumValues"}}
	return Settings{
		Provider: Provider(rng.IntN(3)), Operators: 1 + rng.IntN(2), Stores: stores[rng.IntN(len(stores))],
		Partitions: 1 + rng.IntN(3), Retain: int64(3 + rng.IntN(6)), SnapshotAfter: 1 + rng.IntN(5),
		FileSource: rng.IntN(2) == 0, Checksums: rng.IntN(3) == 0,
	}
}

// operation is one effect on the file system, or a step of the process without one
// if it returns false.
type operation func() bool

// Query is the process of a driver with its executors. Kill it by forgetting it.
type Query struct {
	settings Settings
	files    *Files
	rng      *rand.Rand
	stores   []*store

	// batch that runs, and the rows that it reads. planned is set when its offsets
	// are there already: the batch is run again.
	batch    int64
	from, to int64
	planned  bool
	// rows that the log of a file source holds, and its newest entry.
	logged int64
	entry  int64

	// driver, tasks and background are what each thread is about to do. The driver
	// waits for the tasks of its batch; nobody waits for the background.
	driver     []operation
	tasks      [][]operation
	background [][]operation
	// Quiet queries do no maintenance and retain everything.
	quiet bool
}

// Step makes one operation of one of the threads.
func (q *Query) Step() {
	for !q.step() {
		continue // a step without an effect does not count
	}
}

func (q *Query) step() bool {
	if len(q.driver) == 0 && len(q.tasks) == 0 {
		q.plan()
	}
	n := q.rng.IntN(2 + len(q.background))
	switch {
	case n < len(q.background):
		return next(&q.background, n)
	case len(q.tasks) > 0:
		return next(&q.tasks, q.rng.IntN(len(q.tasks)))
	}
	first := q.driver[0]
	q.driver = q.driver[1:]
	return first()
}

// next makes the next operation of the i-th thread.
func next(threads *[][]operation, i int) bool {
	thread := (*threads)[i]
	if len(thread) == 1 {
		*threads = append((*threads)[:i:i], (*threads)[i+1:]...)
	} else {
		(*threads)[i] = thread[1:]
	}
	return thread[0]()
}

// plan puts a whole batch before the driver: log of the source, offsets, tasks,
// commit, and then what goes on beside the next batch.
func (q *Query) plan() {
	if !q.planned {
		q.read()
		q.log(fmt.Sprintf("offsets/%d", q.batch), q.offsets())
	}
	q.describe()
	q.then(func() {
		for _, s := range q.stores {
			q.tasks = append(q.tasks, s.run(q.from, q.to))
		}
	})
	q.log(fmt.Sprintf("commits/%d", q.batch), []byte("v1\n{\"nextBatchWatermarkMs\":0}"))
	q.then(func() {
		if !q.quiet {
			q.purge()
			q.maintain()
		}
		q.batch, q.from, q.planned = q.batch+1, q.to, false
	})
}

// then is a step of the driver that touches no file.
func (q *Query) then(do func()) {
	q.driver = append(q.driver, func() bool { do(); return false })
}

// log writes an entry of a log, which must not be there.
func (q *Query) log(name string, content []byte) {
	q.driver = append(q.driver, func() bool {
		if _, there := q.files.Get(name); there {
			panic(name + " is written twice")
		}
		return false
	})
	q.driver = append(q.driver, q.write(name, "", content)...)
}

// write is a file that appears by temporary file and rename; the checksums follow.
func (q *Query) write(name, task string, content []byte) []operation {
	temporary := path.Join(path.Dir(name), fmt.Sprintf(".%s.%s%s.tmp", path.Base(name), q.uuid(), task))
	out := []operation{
		func() bool { q.files.Put(temporary, content[:len(content)/2]); return true },
		func() bool { q.files.Remove(temporary); q.files.Put(name, content); return true },
	}
	if q.settings.Checksums {
		checksums := path.Join(path.Dir(temporary), "."+path.Base(temporary)+".crc")
		out = []operation{
			func() bool { q.files.Put(checksums, nil); return true }, out[0], out[1],
			func() bool {
				q.files.Remove(checksums)
				q.files.Put(companion(name), hadoopChecksums(content))
				return true
			},
		}
	}
	return out
}

func companion(name string) string { return path.Join(path.Dir(name), "."+path.Base(name)+".crc") }

// remove takes a file away, and then its checksums.
func (q *Query) remove(name string) []operation {
	out := []operation{func() bool { q.files.Remove(name); return true }}
	if q.settings.Checksums {
		out = append(out, func() bool { q.files.Remove(companion(name)); return true })
	}
	return out
}

func (q *Query) uuid() string {
	a, b := q.rng.Uint64(), q.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}

// describe writes what is written once: the metadata of operators, the schemas.
func (q *Query) describe() {
	for op := range q.settings.Operators {
		at := fmt.Sprintf("state/%d/_metadata/metadata", op)
		if _, there := q.files.Get(at); !there {
			q.driver = append(q.driver, q.write(at, "", q.settings.operator(op))...)
		}
		for _, name := range q.settings.Stores {
			at := path.Join("state", fmt.Sprint(op), "0", name, "_metadata/schema")
			if _, there := q.files.Get(at); !there {
				q.driver = append(q.driver, q.write(at, "", []byte("\x00\x02v2\x00\x00\x00\x02{}\x00\x00\x00\x02{}"))...)
			}
		}
	}
}

// purge removes old entries of offsets and commits beside the next batch.
func (q *Query) purge() {
	var thread []operation
	for _, dir := range []string{"offsets", "commits"} {
		for _, n := range q.files.numbers(dir, "") {
			if n < q.batch-q.settings.Retain {
				thread = append(thread, q.remove(fmt.Sprintf("%s/%d", dir, n))...)
			}
		}
	}
	q.beside(thread)
}

func (q *Query) beside(thread []operation) {
	if len(thread) > 0 {
		q.background = append(q.background, thread)
	}
}

// maintain starts the maintenance of stores now and then; of one store there is
// one at a time.
func (q *Query) maintain() {
	for _, s := range q.stores {
		if s.maintained || q.rng.IntN(2) == 0 {
			continue
		}
		s.maintained = true
		q.beside(s.maintenance())
	}
}

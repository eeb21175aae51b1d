// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/sparksim"
)

// shape of a checkpoint root of which a backup needs nearly every file: state of
// one operator whose partitions have a snapshot and deltas since, and the log of a
// file source.
type shape struct {
	partitions, deltas, snapshotBytes, deltaBytes, sources int
}

// pilot has 5,000 files of 216 MiB: 4,000 deltas of 0.5 to 8 KiB, 50 snapshots of
// 4 MiB, and 950 entries of logs.
func pilot() shape { return shape{50, 80, 4 << 20, 7680, 945} }

// small has n files, nearly all of them deltas of up to 2 KiB.
func small(n int) shape { return shape{200, n/200 - 2, 20 << 10, 1536, n / 200} }

const schema = "\x00\x02v2\x00\x00\x00\x02{}\x00\x00\x00\x02{}"

// tree is a root on disk.
type tree struct {
	dir   string
	shape shape
	rng   *rand.Rand
	// batch is the newest committed one, and at the time of the next file.
	batch int
	at    time.Time
	files int
	bytes int64
}

func newTree(dir string, s shape) (*tree, error) {
	t := &tree{dir: dir, shape: s, rng: rand.New(rand.NewPCG(1, 1)), batch: 2*s.deltas - 1, at: time.Now().Add(-2 * time.Hour)}
	base := t.batch + 1 - s.deltas // version of the snapshots
	add := func(name string, content []byte) {
		if err := t.add(name, content); err != nil {
			panic(err)
		}
	}
	if err := t.guard(func() {
		add("metadata", []byte(`{"id":"0b5c3a52-1111-4222-8333-944445555666"}`))
		for i := range s.sources {
			line := fmt.Sprintf(`{"path":"file:///in/%06d.json","timestamp":1772366400000,"batchId":%d}`, i, i)
			if name := fmt.Sprintf("sources/0/%d", i); (i+1)%10 == 0 {
				add(name+".compact", []byte("v1\n"+line))
			} else {
				add(name, []byte("v1\n"+line))
			}
		}
		add("state/0/_metadata/metadata", fmt.Appendf(nil, "v1\n{\"operatorInfo\":{\"operatorId\":0,\"operatorName\":\"stateStoreSave\"},"+
			"\"stateStoreInfo\":[{\"storeName\":\"default\",\"numColsPrefixKey\":0,\"numPartitions\":%d}]}", s.partitions))
		add("state/0/0/_metadata/schema", []byte(schema))
		for p := range s.partitions {
			add(fmt.Sprintf("state/0/%d/%d.snapshot", p, base), sparksim.StateFile(t.rng, s.snapshotBytes))
		}
		for v := base + 1; v <= t.batch+1; v++ {
			for p := range s.partitions {
				add(fmt.Sprintf("state/0/%d/%d.delta", p, v), sparksim.StateFile(t.rng, 512+t.rng.IntN(s.deltaBytes)))
			}
		}
		for n := t.batch - 1; n <= t.batch; n++ {
			t.log(n)
		}
	}); err != nil {
		return nil, err
	}
	return t, nil
}

// guard turns the failure of a write into an error.
func (t *tree) guard(do func()) (err error) {
	defer func() {
		if failed, ok := recover().(error); ok {
			err = fmt.Errorf("make the tree: %w", failed)
		}
	}()
	do()
	return nil
}

// log plans and commits a batch.
func (t *tree) log(n int) {
	conf := fmt.Sprintf(`{"batchWatermarkMs":0,"batchTimestampMs":1772366400000,"conf":{"spark.sql.streaming.stateStore.encodingFormat":"unsaferow",`+
		`"spark.sql.streaming.stateStore.compression.codec":"lz4","spark.sql.shuffle.partitions":"%d"}}`, t.shape.partitions)
	for name, content := range map[string]string{
		"offsets": fmt.Sprintf("v1\n%s\n{\"logOffset\":%d}", conf, t.shape.sources-1), "commits": "v1\n{\"nextBatchWatermarkMs\":0}",
	} {
		if err := t.add(fmt.Sprintf("%s/%d", name, n), []byte(content)); err != nil {
			panic(err)
		}
	}
}

// goOn commits more batches, and so adds a delta for each partition and batch.
func (t *tree) goOn(batches int) error {
	return t.guard(func() {
		for range batches {
			t.batch++
			for p := range t.shape.partitions {
				if err := t.add(fmt.Sprintf("state/0/%d/%d.delta", p, t.batch+1), sparksim.StateFile(t.rng, 3000)); err != nil {
					panic(err)
				}
			}
			t.log(t.batch)
		}
	})
}

func (t *tree) add(name string, content []byte) error {
	path := filepath.Join(t.dir, filepath.FromSlash(name))
	err := os.WriteFile(path, content, 0o644)
	if os.IsNotExist(err) {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, content, 0o644)
		}
	}
	if err != nil {
		return err
	}
	// A millisecond between files, the commit of a batch after its state.
	t.at = t.at.Add(time.Millisecond)
	if !strings.HasPrefix(name, "state/") {
		t.at = t.at.Add(time.Millisecond)
	}
	t.files++
	t.bytes += int64(len(content))
	return os.Chtimes(path, t.at, t.at)
}

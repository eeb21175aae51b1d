// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// compactEvery is spark.sql.streaming.fileSource.log.compactInterval.
const compactEvery = 10

// topic partitions that rows are dealt to by turns.
const topicPartitions = 3

const conf = `{"batchWatermarkMs":0,"batchTimestampMs":1772366400000,"conf":{"spark.sql.streaming.stateStore.encodingFormat":"unsaferow",` +
	`"spark.sql.streaming.stateStore.compression.codec":"lz4","spark.sql.shuffle.partitions":"%d"}}`

// operator is the metadata of a stateful operator.
func (s Settings) operator(number int) []byte {
	var stores []string
	for _, name := range s.Stores {
		if name == "" {
			name = "default"
		}
		stores = append(stores, fmt.Sprintf(`{"storeName":%q,"numColsPrefixKey":0,"numPartitions":%d}`, name, s.Partitions))
	}
	return fmt.Appendf(nil, "v1\n{\"operatorInfo\":{\"operatorId\":%d,\"operatorName\":\"stateStoreSave\"},\"stateStoreInfo\":[%s]}", number, strings.Join(stores, ","))
}

// read takes new rows. A file source first logs what it found, and takes all that
// is in its log, also what was logged before a crash.
func (q *Query) read() {
	q.to = q.from + int64(1+q.rng.IntN(8))
	if !q.settings.FileSource {
		if _, there := q.files.Get("sources/0/0"); !there {
			q.driver = append(q.driver, q.write("sources/0/0", "", append([]byte{0}, "v1\n"+position(0)...))...)
		}
		return
	}
	if q.logged > q.from && q.rng.IntN(2) == 0 {
		q.to = q.logged
		return
	}
	q.to = q.logged + int64(1+q.rng.IntN(8))
	q.entry++
	line := fmt.Sprintf(`{"path":"file:///in/%d-%d.json","timestamp":1772366400000,"batchId":%d}`, q.logged, q.to, q.entry)
	q.logged = q.to
	if (q.entry+1)%compactEvery != 0 {
		q.log(fmt.Sprintf("sources/0/%d", q.entry), []byte("v1\n"+line))
		return
	}
	lines, err := q.files.sourceLog()
	if err != nil {
		panic(err)
	}
	q.log(fmt.Sprintf("sources/0/%d.compact", q.entry), []byte("v1\n"+strings.Join(append(lines, line), "\n")))
	if !q.quiet {
		q.then(q.expire)
	}
}

// expire removes entries of the source's log that a compacted one has replaced for
// long enough.
func (q *Query) expire() {
	compacted := int64(-1)
	for _, n := range q.files.numbers("sources/0", ".compact") {
		if n <= q.entry-q.settings.Retain {
			compacted = n
		}
	}
	var thread []operation
	for _, suffix := range []string{"", ".compact"} {
		for _, n := range q.files.numbers("sources/0", suffix) {
			if n < compacted {
				thread = append(thread, q.remove(fmt.Sprintf("sources/0/%d%s", n, suffix))...)
			}
		}
	}
	q.beside(thread)
}

// sourceLog reads the log of a file source, a line for each entry: from the newest
// down to a compacted one, which holds all before.
func (f *Files) sourceLog() ([]string, error) {
	newest := max(last(f.numbers("sources/0", "")), last(f.numbers("sources/0", ".compact")))
	var lines []string
	for n := newest; n >= 0; n-- {
		file, compacted := f.Get(fmt.Sprintf("sources/0/%d.compact", n))
		if !compacted {
			var there bool
			if file, there = f.Get(fmt.Sprintf("sources/0/%d", n)); !there {
				return nil, fmt.Errorf("batch %d doesn't exist in the log of the source", n)
			}
		}
		found := strings.Split(string(file.Content), "\n")[1:]
		lines = append(found, lines...)
		if compacted {
			break
		}
	}
	if int64(len(lines)) != newest+1 {
		return nil, fmt.Errorf("the log of the source has %d entries up to %d", len(lines), newest)
	}
	return lines, nil
}

func entryEnd(line string) (end int64, err error) {
	var entry struct{ Path string }
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return 0, err
	}
	var from int64
	_, err = fmt.Sscanf(entry.Path, "file:///in/%d-%d.json", &from, &end)
	return end, err
}

// position is what a Kafka source writes after so many rows.
func position(rows int64) string {
	var parts []string
	for p := range int64(topicPartitions) {
		parts = append(parts, fmt.Sprintf(`"%d":%d`, p, (rows+topicPartitions-1-p)/topicPartitions))
	}
	return `{"orders":{` + strings.Join(parts, ",") + `}}`
}

// offsets is the content of the entry of the batch.
func (q *Query) offsets() []byte {
	source := position(q.to)
	if q.settings.FileSource {
		source = fmt.Sprintf(`{"logOffset":%d}`, q.entry)
	}
	return fmt.Appendf(nil, "v1\n"+conf+"\n%s", q.settings.Partitions, source)
}

// rowsAt is how many rows were read when a batch was done.
func (f *Files) rowsAt(batch int64, fileSource bool) (int64, error) {
	if batch < 0 {
		return 0, nil
	}
	file, there := f.Get(fmt.Sprintf("offsets/%d", batch))
	if !there {
		return 0, fmt.Errorf("batch %d doesn't exist in offsets", batch)
	}
	lines := strings.Split(string(file.Content), "\n")
	if len(lines) != 3 || lines[0] != "v1" {
		return 0, fmt.Errorf("offsets/%d cannot be read: %q", batch, file.Content)
	}
	if fileSource {
		return f.rowsOfEntry(lines[2])
	}
	var offsets struct{ Orders map[string]int64 }
	err := json.Unmarshal([]byte(lines[2]), &offsets)
	rows := int64(0)
	for _, n := range offsets.Orders {
		rows += n
	}
	return rows, err
}

func (f *Files) rowsOfEntry(text string) (int64, error) {
	var offset struct{ LogOffset int64 }
	if err := json.Unmarshal([]byte(text), &offset); err != nil {
		return 0, err
	}
	lines, err := f.sourceLog()
	if err != nil {
		return 0, err
	}
	if offset.LogOffset >= int64(len(lines)) {
		return 0, errors.New("the log of the source is behind the offsets")
	}
	return entryEnd(lines[offset.LogOffset])
}

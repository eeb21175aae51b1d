// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

const offsetsHead = "\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1795448146894,\"conf\":{}}\n"

// rootOf writes a root of one query without state.
func rootOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Which offsets count when Spark starts depends on whether a batch is in flight,
// whether there is one before it, and on what each source has read.
func TestWhatSparkReadsNextOfKafka(t *testing.T) {
	const start = "\x00v1\n{\"a\":{\"0\":3}}"
	at := func(n int64) KafkaPositions { return KafkaPositions{"a": {0: n}} }
	metadata := `{"id":"99e24cd2-c458-472a-ac36-0986b9a6cd86"}`
	for title, c := range map[string]struct {
		files map[string]string
		want  []KafkaSpan
	}{
		"committed": {map[string]string{"offsets/6": "v1" + offsetsHead + `{"a":{"0":6}}`, "offsets/7": "v1" + offsetsHead + `{"a":{"0":7}}`, "commits/7": "v1\n{}", "sources/0/0": start},
			[]KafkaSpan{{"0", at(7), "offsets/7", nil, ""}}},
		"in flight": {map[string]string{"offsets/6": "v1" + offsetsHead + `{"a":{"0":6}}`, "offsets/7": "v1" + offsetsHead + `{"a":{"0":7}}`, "commits/6": "v1\n{}", "sources/0/0": start},
			[]KafkaSpan{{"0", at(6), "offsets/6", at(7), "offsets/7"}}},
		"first batch in flight": {map[string]string{"offsets/0": "v1" + offsetsHead + `{"a":{"0":7}}`, "sources/0/0": start},
			[]KafkaSpan{{"0", at(3), "sources/0/0", at(7), "offsets/0"}}},
		"first batch in flight, start lost": {map[string]string{"offsets/0": "v1" + offsetsHead + `{"a":{"0":7}}`},
			[]KafkaSpan{{"0", nil, "", at(7), "offsets/0"}}},
		"first batch committed": {map[string]string{"offsets/0": "v1" + offsetsHead + `{"a":{"0":7}}`, "commits/0": "v1\n{}"},
			[]KafkaSpan{{"0", at(7), "offsets/0", nil, ""}}},
		"nothing read yet of the second": {map[string]string{"offsets/0": "v1" + offsetsHead + `{"b":{"0":1,"1":2}}` + "\n-", "commits/0": "v1\n{}", "sources/1/0": start},
			[]KafkaSpan{{"0", KafkaPositions{"b": {0: 1, 1: 2}}, "offsets/0", nil, ""}, {"1", at(3), "sources/1/0", nil, ""}}},
		"one topic, two sources": {map[string]string{"offsets/0": "v1" + offsetsHead + `{"a":{"0":1}}` + "\n" + `{"a":{"0":2}}`, "commits/0": "v1\n{}"},
			[]KafkaSpan{{"0", at(1), "offsets/0", nil, ""}, {"1", at(2), "offsets/0", nil, ""}}},
		"named sources, lines in any order": {map[string]string{"offsets/0": "v2" + offsetsHead + `right:{"b":{"0":5}}` + "\n" + `left:{"a":{"0":1}}`, "commits/0": "v1\n{}"},
			[]KafkaSpan{{"left", at(1), "offsets/0", nil, ""}, {"right", KafkaPositions{"b": {0: 5}}, "offsets/0", nil, ""}}},
		"a pattern that meets a new topic": {map[string]string{"offsets/6": "v1" + offsetsHead + `{"a":{"0":6}}`, "offsets/7": "v1" + offsetsHead + `{"a":{"0":7},"b":{"0":1}}`, "commits/6": "v1\n{}"},
			[]KafkaSpan{{"0", at(6), "offsets/6", KafkaPositions{"a": {0: 7}, "b": {0: 1}}, "offsets/7"}}},
		"other sources": {map[string]string{"offsets/0": "v1" + offsetsHead + `{"logOffset":3}` + "\n17\n-\n" + `{"shard":{"x":1}}` + "\n" + `{"no topic":{"0":1}}` + "\n" + `{"version":1,"snapshot":{"0":"1"}}` + "\n{}",
			"commits/0": "v1\n{}", "sources/0/0": "v1\n{\"path\":\"f\"}", "sources/2/0": "v1\n{\"path\":\"f\"}"}, nil},
		"no batch yet": {map[string]string{"offsets/.0.tmp": "", "sources/0/0": start}, nil},
	} {
		c.files["metadata"] = metadata
		got, err := openRoot(t, rootOf(t, c.files)).KafkaNext(t.Context())
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", title, got, err, c.want)
		}
	}
}

func TestRealRootsOfKafkaAreTold(t *testing.T) {
	got, err := openRoot(t, unpack(t, "kafka-rocksdb-killed-41")).KafkaNext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].FromPath != "offsets/3" || got[0].ToPath != "offsets/4" || !slices.Equal(KafkaTopics(got), []string{"clicks"}) {
		t.Errorf("%+v", got)
	}
	for p, n := range got[0].From["clicks"] {
		if to := got[0].To["clicks"][p]; to < n || n < 0 {
			t.Errorf("partition %d goes from %d to %d", p, n, to)
		}
	}
	data, err := os.ReadFile(filepath.Join(unpack(t, "kafka-41"), "sources", "0", "0"))
	if err != nil {
		t.Fatal(err)
	}
	if start := KafkaStart(data); !reflect.DeepEqual(start, KafkaPositions{"orders": {0: 0, 1: 0, 2: 0}}) {
		t.Errorf("the query began at %v", start)
	}
	for _, fixture := range []string{"file-source-compacted-41", "rate-rocksdb-41", "named-sources-43"} {
		if got, err := openRoot(t, unpack(t, fixture)).KafkaNext(t.Context()); err != nil || got != nil {
			t.Errorf("%s: %+v, %v", fixture, got, err)
		}
	}
}

func TestPositionsOfAnEntry(t *testing.T) {
	got, unread, err := KafkaPositionsOf([]byte("v2" + offsetsHead + `k:{"a":{"0":1}}` + "\n" + `f:{"logOffset":1}` + "\nnew:-"))
	if err != nil || !slices.Equal(unread, []string{"new"}) || !reflect.DeepEqual(got, map[string]KafkaPositions{"k": {"a": {0: 1}}}) {
		t.Errorf("%v, unread %v, %v", got, unread, err)
	}
	if _, _, err := KafkaPositionsOf([]byte("v9\n")); err == nil {
		t.Error("an unknown version was read")
	}
	for _, data := range []string{"", "v1", "\x00v2\n{\"a\":{\"0\":1}}", "\x00v1\n{\"a\":{\"00\":1}}", "\x00v1\n{\"a\":{\"2147483648\":1}}", "\x00v1\n{\"../a\":{\"0\":1}}", "\x00v1\n[]"} {
		if got := KafkaStart([]byte(data)); got != nil {
			t.Errorf("%q is taken for the start of a Kafka source: %v", data, got)
		}
	}
}

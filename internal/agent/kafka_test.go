// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/kafka"
	"sparkpipeline.dev/operator/internal/kafka/kafkatest"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
	"sparkpipeline.dev/operator/internal/watch"
)

const kafkaHead = "\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1795448146894,\"conf\":{}}\n"

// kafkaPlace is a checkpoint with a query whose first source reads all topics of a
// pattern, the second the first topic once more, and the third no Kafka. Its newest
// committed batch is 3.
func kafkaPlace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, time.Now().Add(-time.Hour), prefixed("orders/", map[string]string{
		"metadata":  `{"id":"99e24cd2-c458-472a-ac36-0986b9a6cd86"}`,
		"offsets/2": "v1" + kafkaHead + `{"orders":{"0":2,"1":2}}` + "\n" + `{"orders":{"0":1,"1":1}}` + "\n7",
		"offsets/3": "v1" + kafkaHead + `{"clicks":{"0":3},"orders":{"1":4,"0":5}}` + "\n" + `{"orders":{"0":4,"1":4}}` + "\n9",
		"commits/2": "v1\n{}", "commits/3": "v1\n{}",
	}))
	return dir
}

// brokersOf are brokers with the topics of kafkaPlace.
func brokersOf(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	c := kafkatest.Start(t, kfake.NumBrokers(2))
	c.Topic("orders", 9, 8)
	c.Topic("clicks", 3)
	return c
}

func nobody(t *testing.T) string {
	t.Helper()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	return closed.Addr().String()
}

func kindsOf(findings []kafka.Finding) string {
	var out []string
	for _, f := range findings {
		text := string(f.Kind)
		if f.Topic != "" {
			text += " " + f.Topic
		}
		if f.Partition != nil {
			text += fmt.Sprintf("/%d", *f.Partition)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// recorded are the topics of the newest point.
func recorded(t *testing.T, store *objectstoretest.Memory) []backup.Topic {
	t.Helper()
	repo, err := backup.Open(store, backup.Options{Prefix: pointsPrefix, Owner: "0b5c", Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := repo.Newest(t.Context())
	if err != nil || m == nil {
		t.Fatalf("%v, %v", m, err)
	}
	return m.Roots[0].Topics
}

func TestBackupRecordsTopics(t *testing.T) {
	c, place, store := brokersOf(t), kafkaPlace(t), &objectstoretest.Memory{}
	stores := buckets{"b-backups": store}
	line := append([]string{"--root", place, "--owner", "0b5c"}, laptop...)
	r, got := backUp(t, stores, append(line, "--kafka-brokers", c.Brokers())...)
	expectRoots(t, r, got, "orders=3")
	if len(got.Kafka) > 0 || r.errOut != "" {
		t.Errorf("findings %+v, said %q", got.Kafka, r.errOut)
	}
	topics := recorded(t, store)
	if len(topics) != 2 || topics[0].Name != "clicks" || topics[1].Name != "orders" || topics[1].End[0] != 9 || topics[1].End[1] != 8 || len(topics[1].ID) != 22 || topics[1].Unknown != "" {
		t.Errorf("recorded are %+v", topics)
	}

	// What the brokers do not tell keeps no point from being made.
	begun := time.Now()
	write(t, place, time.Now(), prefixed("orders/", map[string]string{"commits/3": "v1\n{ }"}))
	r, got = backUp(t, stores, append(line, "--kafka-brokers", nobody(t), "--kafka-timeout", "300ms")...)
	expectRoots(t, r, got, "orders=3")
	if kindsOf(got.Kafka["orders"]) != "Unreachable" || !strings.Contains(r.errOut, "level=WARN") || !strings.Contains(r.errOut, "a restore cannot tell whether they were created again") {
		t.Errorf("findings %+v, said %q", got.Kafka, r.errOut)
	}
	if topics := recorded(t, store); len(topics) != 2 || topics[1].ID != "" || !strings.Contains(topics[1].Unknown, "connection refused") {
		t.Errorf("recorded are %+v", topics)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("brokers that do not answer have cost %s", took)
	}

	// A topic that was created again under the running query is told of with the next point.
	r, got = backUp(t, stores, append(line, "--kafka-brokers", c.Brokers())...)
	expectRoots(t, r, got, "orders=3")
	c.Again("orders", 20, 20)
	r, got = backUp(t, stores, append(line, "--kafka-brokers", c.Brokers())...)
	expectRoots(t, r, got, "orders=3")
	if kindsOf(got.Kafka["orders"]) != "TopicRecreated orders" || !strings.Contains(r.errOut, "kind=TopicRecreated") {
		t.Errorf("findings %+v, said %q", got.Kafka, r.errOut)
	}
}

func TestRestoreJudgesKafka(t *testing.T) {
	for title, test := range map[string]struct {
		change func(c *kafkatest.Cluster)
		// findings after the restore, and the code that they give it.
		findings string
		code     int
		// accept is what lets it pass.
		accept, says string
	}{
		"as it was":         {func(*kafkatest.Cluster) {}, "", CodeOK, "", ""},
		"more records":      {func(c *kafkatest.Cluster) { c.Produce("orders", 0, 5) }, "", CodeOK, "", ""},
		"partitions added":  {func(c *kafkatest.Cluster) { c.Grow("clicks", 2) }, "PartitionAdded clicks/1", CodeOK, "", ""},
		"retention is near": {func(c *kafkatest.Cluster) { c.Drop("orders", 0, 4) }, "", CodeOK, "RecordsGone", ""},
		"retention passed":  {func(c *kafkatest.Cluster) { c.Drop("orders", 1, 5) }, "RecordsGone orders/1, RecordsGone orders/1", CodeKafkaUnfit, "RecordsGone", "partition 1 of topic orders begins at 5, so the 1 records from 4 on are gone"},
		"created again":     {func(c *kafkatest.Cluster) { c.Again("orders", 50, 50) }, "TopicRecreated orders", CodeKafkaUnfit, "TopicRecreated", "topic orders was deleted and created again"},
		"created again, shorter": {func(c *kafkatest.Cluster) { c.Again("clicks", 1) }, "TopicRecreated clicks, BeyondEnd clicks/0", CodeKafkaUnfit, "all",
			"partition 0 of topic clicks ends at 1, 2 before offset 3"},
		"fewer partitions": {func(c *kafkatest.Cluster) { c.Again("orders", 50) }, "TopicRecreated orders, PartitionGone orders/1, PartitionGone orders/1", CodeKafkaUnfit, "all", "has no partition 1"},
		"topic gone": {func(c *kafkatest.Cluster) {
			if err := c.DeleteTopic("clicks"); err != nil {
				t.Error(err)
			}
		}, "TopicGone clicks", CodeKafkaUnfit, "TopicGone", "the brokers know no topic clicks"},
		"brokers gone": {func(c *kafkatest.Cluster) { c.Close() }, "Unreachable", CodeKafkaUnreachable, "Unreachable", "network policies"},
	} {
		t.Run(title, func(t *testing.T) {
			c, place, stores := brokersOf(t), kafkaPlace(t), buckets{"b-backups": {}}
			brokers := c.Brokers()
			r, got := backUp(t, stores, append([]string{"--root", place, "--owner", "0b5c", "--kafka-brokers", brokers}, laptop...)...)
			expectRoots(t, r, got, "orders=3")
			test.change(c)
			target := filepath.Join(t.TempDir(), "restored")
			restore := func(more ...string) (ran, restoreResult) {
				line := append([]string{"restore", target, "-o", "json", "--owner", "0b5c", "--kafka-brokers", brokers, "--kafka-timeout", "1s"}, laptop...)
				r := runAgent(t, stores.use, append(line, more...)...)
				var result restoreResult
				if r.out != "" {
					if err := json.Unmarshal([]byte(r.out), &result); err != nil {
						t.Fatal(err)
					}
				}
				return r, result
			}
			r, result := restore()
			if r.code != test.code || !strings.Contains(r.errOut, test.says) {
				t.Fatalf("code %d: %s", r.code, r.errOut)
			}
			if test.code == CodeOK {
				if kinds := kindsOf(result.Roots[0].Kafka); kinds != test.findings {
					t.Errorf("findings are %s", kinds)
				}
				return
			}
			if !strings.Contains(r.errOut, "--accept-kafka") {
				t.Errorf("it is not said what to do: %s", r.errOut)
			}
			if record, err := backup.ReadRestoreRecord(t.Context(), nil, target); err != nil || record.State != backup.RestoreIncomplete {
				t.Errorf("record is %+v, %v", record, err)
			}
			if r, _ := restore("--accept-kafka", "NotAuthorized"); r.code != test.code {
				t.Errorf("what was not accepted passed with code %d", r.code)
			}
			r, result = restore("--accept-kafka", test.accept)
			if r.code != CodeOK || kindsOf(result.Roots[0].Kafka) != test.findings || len(result.Record.Accepted) == 0 || result.Record.State != backup.RestoreComplete {
				t.Errorf("accepted: code %d, %s; findings %s, record %+v", r.code, r.errOut, kindsOf(result.Roots[0].Kafka), result.Record)
			}
		})
	}
}

// Without brokers a restore is made, and says what it could not judge.
func TestRestoreWithoutBrokers(t *testing.T) {
	stores := buckets{"b-backups": {}}
	r, got := backUp(t, stores, append([]string{"--root", kafkaPlace(t), "--owner", "0b5c"}, laptop...)...)
	expectRoots(t, r, got, "orders=3")
	target := filepath.Join(t.TempDir(), "restored")
	r = runAgent(t, stores.use, append([]string{"restore", target, "--owner", "0b5c"}, laptop...)...)
	if r.code != 0 || !strings.Contains(r.out, "NotAsked") || !strings.Contains(r.out, "give --kafka-brokers") {
		t.Errorf("code %d: %s%s", r.code, r.out, r.errOut)
	}
}

func TestVerifyAsksKafka(t *testing.T) {
	c, place := brokersOf(t), kafkaPlace(t)
	root := filepath.Join(place, "orders")
	verify := func(more ...string) ran { return runAgent(t, nil, append([]string{"verify", root}, more...)...) }
	asked := []string{"--kafka-brokers", c.Brokers(), "-o", "json"}
	expect := func(what string, code int, kinds string, more ...string) {
		t.Helper()
		r := verify(append(asked, more...)...)
		var got struct {
			Healthy bool
			Kafka   []kafka.Finding
		}
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != code || kindsOf(got.Kafka) != kinds || !got.Healthy {
			t.Errorf("%s: code %d, %v, findings %q: %s", what, r.code, err, kindsOf(got.Kafka), r.errOut)
		}
	}
	expect("all is there", CodeOK, "NotRecorded clicks, NotRecorded orders")
	// Up to what the batch before has read; batch 3 begins there once it is in flight.
	c.Drop("orders", 0, 3)
	expect("committed, it is read from its end", CodeOK, "NotRecorded clicks, NotRecorded orders")
	if err := os.Remove(filepath.Join(root, "commits", "3")); err != nil {
		t.Fatal(err)
	}
	expect("in flight, its beginning is gone", CodeKafkaUnfit, "NotRecorded clicks, NotRecorded orders, RecordsGone orders/0, RecordsGone orders/0")
	expect("accepted", CodeOK, "NotRecorded clicks, NotRecorded orders, RecordsGone orders/0, RecordsGone orders/0", "--accept-kafka", "RecordsGone")

	if r := verify("--kafka-brokers", "none"); r.code != CodeOK || strings.Contains(r.out, "KAFKA") {
		t.Errorf("nobody is to be asked: code %d: %s", r.code, r.out)
	}
	for says, more := range map[string][]string{
		"set --kafka-brokers": {"--kafka"}, `--accept-kafka is "x"`: {"--accept-kafka", "x"}, "--kafka-timeout is 1ms": {"--kafka-timeout", "1ms"},
	} {
		if r := verify(more...); r.code != CodeUsage || !strings.Contains(r.errOut, says) {
			t.Errorf("%s: code %d: %s", says, r.code, r.errOut)
		}
	}
	if r := verify("--kafka-brokers", "kafka"); r.code != CodeKafkaCredentials || !strings.Contains(r.errOut, `broker is "kafka"; allowed is host:port`) {
		t.Errorf("a broker without a port: code %d: %s", r.code, r.errOut)
	}
}

// Who may not ask is told so, by a code of its own and without a secret.
func TestKafkaThatLetsNobodyIn(t *testing.T) {
	acl := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "orders", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}
	c := kafkatest.StartClosed(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.User("SCRAM-SHA-512", "watch", "geheim-7", acl))
	c.Use(kgo.SASL(plain.Auth{User: "root", Pass: "secret"}.AsMechanism()))
	c.Topic("orders", 9, 8)
	c.Topic("clicks", 3)
	root := filepath.Join(kafkaPlace(t), "orders")
	secret := tree(t, map[string]string{"mechanism": "SCRAM-SHA-512", "username": "watch", "password": "geheim-7"})
	verify := func() ran {
		return runAgent(t, nil, "verify", root, "--kafka-brokers", c.Brokers(), "--kafka-sasl-dir", secret, "--kafka-timeout", "3s")
	}
	if r := verify(); r.code != CodeKafkaNotAuthorized || !strings.Contains(r.errOut, "lacks the right Describe on topic clicks") {
		t.Errorf("no right on one topic: code %d: %s", r.code, r.errOut)
	}
	write(t, secret, time.Now(), map[string]string{"password": "geheim-8"})
	if r := verify(); r.code != CodeKafkaCredentials || !strings.Contains(r.errOut, "saslSecret") || strings.Contains(r.errOut+r.out, "geheim") {
		t.Errorf("wrong password: code %d: %s", r.code, r.errOut)
	}
	t.Setenv("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
	t.Setenv("KAFKA_SASL_USERNAME", "watch")
	t.Setenv("KAFKA_SASL_PASSWORD", "geheim-7")
	if r := runAgent(t, nil, "verify", root, "--kafka-brokers", c.Brokers()); r.code != CodeKafkaNotAuthorized {
		t.Errorf("credentials of the environment: code %d: %s", r.code, r.errOut)
	}
}

func TestWatchMeasuresTheLag(t *testing.T) {
	c, place := brokersOf(t), kafkaPlace(t)
	root := filepath.Join(place, "orders")
	w := startWatch(t, nil, "--root", place, "--query", "orders", "--stall-after", "1h", "--kafka-brokers", c.Brokers(), "--lag-every", "20ms", "--kafka-timeout", "1s")
	lag := func(n int64) func(watch.Status) bool {
		return func(s watch.Status) bool {
			return s.Queries[0].Lag != nil && s.Queries[0].Lag.Error == "" && s.Queries[0].Lag.Records == n
		}
	}
	// 4+4 and 5+4 of orders, by two sources, and none of clicks.
	s := w.until("the lag of batch 3", lag(17))
	if l := s.Queries[0].Lag; l.Batch != 3 || l.Topics["orders"] != 17 || l.At.IsZero() {
		t.Errorf("lag is %+v", l)
	}
	c.Produce("clicks", 0, 2)
	w.until("two more records", lag(19))
	if _, body := w.get("/metrics"); !strings.Contains(body, `sparkpipeline_kafka_lag{query="orders"} 19`) {
		t.Errorf("metrics are %s", ours(body))
	}
	// A batch under way counts until it is committed.
	write(t, root, time.Now(), map[string]string{"offsets/4": "v1" + kafkaHead + `{"clicks":{"0":5},"orders":{"1":8,"0":9}}` + "\n" + `{"orders":{"0":9,"1":8}}` + "\n9"})
	w.until("the batch is under way", func(s watch.Status) bool { return s.Queries[0].InFlight && lag(19)(s) })
	write(t, root, time.Now(), map[string]string{"commits/4": "v1\n{}"})
	w.until("all is read", func(s watch.Status) bool { return lag(0)(s) && s.Queries[0].Lag.Batch == 4 })

	c.Again("orders", 1, 1)
	s = w.until("the topic was created again", func(s watch.Status) bool { return s.Queries[0].Lag.Error != "" })
	if l := s.Queries[0].Lag; !strings.Contains(l.Error, "BeyondEnd") || l.Records != 0 || l.Batch != 4 {
		t.Errorf("lag is %+v", l)
	}
	if r := w.end(); r.code != 0 || strings.Count(r.errOut, "The lag behind Kafka is not known") != 1 {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
}

// Records wait and nobody takes them.
func TestWatchNoticesAQueryThatDoesNotBegin(t *testing.T) {
	c, place := brokersOf(t), kafkaPlace(t)
	w := startWatch(t, nil, "--root", place, "--query", "orders", "--stall-after", "100ms", "--kafka-brokers", c.Brokers(), "--lag-every", "20ms")
	s := w.until("records wait", because("orders Behind"))
	if code, body := w.get("/readyz"); code != 503 || !strings.HasPrefix(body, "orders Behind: 17 records of Kafka wait, and no batch has begun for ") {
		t.Errorf("readiness is %d %q; %+v", code, body, s.Problems)
	}
}

// The first batch counts from where the query began; a query without Kafka has no lag,
// and brokers that are away cost the watch nothing but the lag.
func TestWatchBeforeTheFirstBatchAndWithoutBrokers(t *testing.T) {
	c := brokersOf(t)
	place := t.TempDir()
	write(t, place, time.Now(), map[string]string{
		"young/metadata": `{"id":"99e24cd2-c458-472a-ac36-0986b9a6cd86"}`, "young/offsets/0": "v1" + kafkaHead + `{"clicks":{"0":3}}` + "\n-",
		"young/sources/0/0": "\x00v1\n{\"clicks\":{\"0\":1}}", "young/sources/1/0": "\x00v1\n{\"orders\":{\"0\":6,\"1\":8}}",
		"files/metadata": `{"id":"99e24cd2-c458-472a-ac36-0986b9a6cd87"}`, "files/offsets/0": "v1" + kafkaHead + "17", "files/commits/0": "v1\n{}",
	})
	queries := []string{"--root", place, "--query", "young", "--query", "files", "--stall-after", "1h", "--lag-every", "20ms", "--kafka-timeout", "200ms"}
	w := startWatch(t, nil, append(queries, "--kafka-brokers", c.Brokers())...)
	s := w.until("the lag of the first batch", func(s watch.Status) bool { return s.Queries[0].Lag != nil && !s.Queries[0].Lag.At.IsZero() })
	if l := s.Queries[0].Lag; l.Batch != -1 || l.Records != 2+3 || s.Queries[1].Lag != nil {
		t.Errorf("lags are %+v and %+v", l, s.Queries[1].Lag)
	}
	w.end()

	w = startWatch(t, nil, append(queries, "--kafka-brokers", nobody(t))...)
	s = w.until("nobody is there", func(s watch.Status) bool {
		return s.Queries[0].Lag != nil && s.Queries[1].Verification != nil && s.Queries[1].LastCommit != nil
	})
	if l := s.Queries[0].Lag; !strings.Contains(l.Error, "connection refused") || !l.At.IsZero() {
		t.Errorf("lag is %+v", l)
	}
	if slices.ContainsFunc(s.Problems, func(p watch.Problem) bool { return p.Query == "files" }) {
		t.Errorf("problems are %+v", s.Problems)
	}
	if _, body := w.get("/metrics"); strings.Contains(body, "sparkpipeline_kafka_lag") {
		t.Errorf("a lag that is not known is exported: %s", ours(body))
	}
}

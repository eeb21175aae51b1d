// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"sparkpipeline.dev/operator/internal/kafka/kafkatest"
)

const patience = 500 * time.Millisecond

func open(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func ask(t *testing.T, c *Client, names ...string) map[string]Topic {
	t.Helper()
	topics, err := c.Topics(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

func TestTopicsAreTold(t *testing.T) {
	c := kafkatest.Start(t, kfake.NumBrokers(3), kfake.AllowAutoTopicCreation())
	c.Topic("orders", 5, 0, 7)
	c.Topic("clicks", 2)
	c.Drop("orders", 2, 3)
	client := open(t, Options{Brokers: c.ListenAddrs()})

	got := ask(t, client, "orders", "clicks", "nothing")
	orders := got["orders"]
	if !maps.Equal(orders.Begin, map[int32]int64{0: 0, 1: 0, 2: 3}) || !maps.Equal(orders.End, map[int32]int64{0: 5, 1: 0, 2: 7}) || orders.Problem != nil || len(orders.Unanswered) > 0 {
		t.Errorf("%+v", orders)
	}
	if orders.ID != idOf(c.TopicInfo("orders").TopicID) || len(orders.ID) != 22 || orders.ID == got["clicks"].ID {
		t.Errorf("ids are %q and %q", orders.ID, got["clicks"].ID)
	}
	if p := got["nothing"].Problem; p == nil || p.Kind != TopicGone || !strings.Contains(p.Message, "nothing") {
		t.Errorf("a topic that is not there: %+v", p)
	}
	if c.TopicInfo("nothing") != nil {
		t.Error("asking for a topic has made it")
	}

	// The same connection sees what changes.
	c.Again("orders", 1)
	if again := ask(t, client, "orders")["orders"]; again.ID == orders.ID || !maps.Equal(again.End, map[int32]int64{0: 1}) {
		t.Errorf("after it was made again: %+v", again)
	}
	if none := ask(t, client); len(none) != 0 {
		t.Errorf("asked for nothing, told of %v", none)
	}
}

// Brokers before 2.8 have no ids of topics; that is no error.
func TestOldBrokersHaveNoIDs(t *testing.T) {
	c := kafkatest.Start(t, kfake.MaxVersions(kversion.V2_7_0()))
	c.Topic("orders", 5)
	if got := ask(t, open(t, Options{Brokers: c.ListenAddrs()}), "orders")["orders"]; got.ID != "" || got.End[0] != 5 {
		t.Errorf("%+v", got)
	}
}

// Describe is all that is needed, and without it that is said of each topic.
func TestRightsOnTopics(t *testing.T) {
	describe := func(topic string) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}
	}
	for _, mechanism := range Mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			c := kafkatest.StartClosed(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.User(mechanism, "watch", "geheim-7", describe("orders")))
			c.Use(kgo.SASL(plain.Auth{User: "root", Pass: "secret"}.AsMechanism()))
			c.Topic("orders", 5)
			c.Topic("clicks", 5)
			got := ask(t, open(t, Options{Brokers: c.ListenAddrs(), SASL: &SASL{Mechanism: mechanism, Username: "watch", Password: "geheim-7"}}), "orders", "clicks", "nothing")
			if got["orders"].End[0] != 5 || got["orders"].Problem != nil {
				t.Errorf("with Describe: %+v", got["orders"])
			}
			for _, name := range []string{"clicks", "nothing"} {
				if p := got[name].Problem; p == nil || p.Kind != NotAuthorized || !strings.Contains(p.Message, "Describe on topic "+name) {
					t.Errorf("%s without a right: %+v", name, p)
				}
			}

			for title, o := range map[string]Options{
				"wrong password": {SASL: &SASL{Mechanism: mechanism, Username: "watch", Password: "geheim-8"}},
				"unknown user":   {SASL: &SASL{Mechanism: mechanism, Username: "nobody", Password: "geheim-7"}},
			} {
				o.Brokers, o.Timeout = c.ListenAddrs(), 2*time.Second
				_, err := open(t, o).Topics(t.Context(), []string{"orders"})
				if KindOf(err) != Credentials || !strings.Contains(err.Error(), "saslSecret") || strings.Contains(err.Error(), "geheim") {
					t.Errorf("%s: %v", title, err)
				}
			}
			_, err := open(t, Options{Brokers: c.ListenAddrs(), Timeout: patience}).Topics(t.Context(), []string{"orders"})
			if kind := KindOf(err); kind != Credentials && kind != Certificate {
				t.Errorf("no credentials at all: %v", err)
			}
		})
	}
}

// A Secret that is mounted may change while the client lives.
func TestCredentialsOfAMountedSecret(t *testing.T) {
	c := kafkatest.StartClosed(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "watch", "geheim-7"))
	dir := t.TempDir()
	put := func(key, value string) {
		if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Brokers: c.ListenAddrs(), SASL: &SASL{Dir: dir}, Timeout: 5 * time.Second}
	if _, err := Open(o); KindOf(err) != Setup || !strings.Contains(err.Error(), "lack the key mechanism") {
		t.Errorf("no key mechanism: %v", err)
	}
	put("mechanism", "GSSAPI")
	if _, err := Open(o); KindOf(err) != Setup || !strings.Contains(err.Error(), `"GSSAPI"; allowed are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512`) {
		t.Errorf("a mechanism that is not known: %v", err)
	}
	put("mechanism", "scram-sha-512\n")
	client := open(t, o)
	if _, err := client.Topics(t.Context(), []string{"orders"}); KindOf(err) != Setup || !strings.Contains(err.Error(), "lack the key username") {
		t.Errorf("no key username: %v", err)
	}
	put("username", "watch\n")
	put("password", "")
	if _, err := client.Topics(t.Context(), []string{"orders"}); KindOf(err) != Setup || !strings.Contains(err.Error(), "password of SASL is empty") {
		t.Errorf("an empty password: %v", err)
	}
	put("password", "geheim-7\r\n")
	if got := ask(t, client, "orders"); got["orders"].Problem == nil || got["orders"].Problem.Kind != TopicGone {
		t.Errorf("%+v", got)
	}
}

// Who does not answer costs a question its time and no more.
func TestBrokersThatDoNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for title, address := range map[string]string{"silent": silent.Addr().String(), "nobody there": closed.Addr().String(), "no such name": "broker.invalid:9092"} {
		begun := time.Now()
		_, err := open(t, Options{Brokers: []string{address}, Timeout: patience}).Topics(t.Context(), []string{"orders"})
		if KindOf(err) != Unreachable || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "network policies") {
			t.Errorf("%s: %v", title, err)
		}
		if took := time.Since(begun); took > 20*patience {
			t.Errorf("%s took %s", title, took)
		}
	}

	// One that is there makes up for one that is not.
	c := kafkatest.Start(t)
	c.Topic("orders", 5)
	if got := ask(t, open(t, Options{Brokers: []string{closed.Addr().String(), c.Brokers()}}), "orders"); got["orders"].End[0] != 5 {
		t.Errorf("%+v", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, Options{Brokers: []string{silent.Addr().String()}}).Topics(ctx, []string{"orders"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a question that nobody waits for: %v", err)
	}
}

// A broker that hangs, or a partition without a leader, costs its partitions alone.
func TestPartsOfAnAnswer(t *testing.T) {
	c := kafkatest.Start(t, kfake.NumBrokers(2))
	c.Topic("orders", 5, 6)
	for p := range int32(2) {
		if err := c.MoveTopicPartition("orders", p, p); err != nil {
			t.Fatal(err)
		}
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Partitions: []int32{1}, Err: kerr.KafkaStorageError, Count: -1})
	got := ask(t, open(t, Options{Brokers: c.ListenAddrs(), Timeout: 2 * time.Second}), "orders")["orders"]
	if got.End[0] != 5 || len(got.End) != 1 || !strings.Contains(got.Unanswered[1], "KAFKA_STORAGE_ERROR") {
		t.Errorf("%+v", got)
	}
}

func TestOptionsAreJudged(t *testing.T) {
	for says, o := range map[string]Options{
		"no broker is given":             {},
		`broker is "kafka"`:              {Brokers: []string{"kafka"}},
		`broker is "kafka:0"`:            {Brokers: []string{"kafka:0"}},
		`broker is "kafka:65536"`:        {Brokers: []string{"a:1", "kafka:65536"}},
		`broker is "http://kafka:1"`:     {Brokers: []string{"http://kafka:1"}},
		"certificate is given without":   {Brokers: []string{"a:1"}, TLS: &TLS{CertFile: "x"}},
		"timeout is -1s":                 {Brokers: []string{"a:1"}, Timeout: -time.Second},
		`mechanism of SASL is ""`:        {Brokers: []string{"a:1"}, SASL: &SASL{}},
		`mechanism of SASL is "12345678`: {Brokers: []string{"a:1"}, SASL: &SASL{Mechanism: strings.Repeat("1234567890", 9)}},
	} {
		_, err := Open(o)
		if KindOf(err) != Setup || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), strings.Repeat("1234567890", 3)) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

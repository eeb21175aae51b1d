// SPDX-License-Identifier: Apache-2.0

// Package kafkatest runs Kafka brokers in the process of a test.
package kafkatest

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Cluster of one broker, unless the options say otherwise.
type Cluster struct {
	*kfake.Cluster
	t      testing.TB
	client *kgo.Client
}

// Start starts brokers that end with the test. They let everybody in; for others see
// StartClosed.
func Start(t testing.TB, options ...kfake.Opt) *Cluster {
	t.Helper()
	c := StartClosed(t, options...)
	c.Use()
	return c
}

// StartClosed starts brokers that want to know who comes, or speak TLS. Use has to be
// called before the test can put anything into them.
func StartClosed(t testing.TB, options ...kfake.Opt) *Cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return &Cluster{Cluster: fake, t: t}
}

// Use makes the client of the test.
func (c *Cluster) Use(options ...kgo.Opt) {
	c.t.Helper()
	var err error
	c.client, err = kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.client.Close)
}

// Brokers are the addresses with commas between them.
func (c *Cluster) Brokers() string { return strings.Join(c.ListenAddrs(), ",") }

// Topic makes a topic whose partitions hold so many records each.
func (c *Cluster) Topic(name string, records ...int) {
	c.t.Helper()
	c.try(c.CreateTopic(name, int32(len(records)), nil))
	for p, n := range records {
		c.Produce(name, int32(p), n)
	}
}

// Again deletes a topic and makes it again.
func (c *Cluster) Again(name string, records ...int) {
	c.t.Helper()
	c.try(c.DeleteTopic(name))
	c.client.PurgeTopicsFromClient(name)
	c.Topic(name, records...)
}

// Produce writes records to a partition.
func (c *Cluster) Produce(topic string, partition int32, records int) {
	c.t.Helper()
	var some []*kgo.Record
	for range records {
		some = append(some, &kgo.Record{Topic: topic, Partition: partition, Value: []byte("x")})
	}
	c.try(c.client.ProduceSync(context.Background(), some...).FirstErr())
}

// Drop removes the records before an offset, as retention does.
func (c *Cluster) Drop(topic string, partition int32, before int64) {
	c.t.Helper()
	c.try(c.DeleteRecords(topic, partition, before))
}

// Grow gives a topic more partitions.
func (c *Cluster) Grow(topic string, partitions int) {
	c.t.Helper()
	_, err := kadm.NewClient(c.client).UpdatePartitions(context.Background(), partitions, topic)
	c.try(err)
}

func (c *Cluster) try(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

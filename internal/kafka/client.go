// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topic is what the brokers say of a topic. Offsets are by partition.
type Topic struct {
	Name string
	// ID of the topic as Kafka's own tools write it. A topic that was deleted and
	// created again has another. Empty: brokers before 2.8 have none.
	ID string
	// Begin is the offset of the oldest record, End the one that the next record will
	// get.
	Begin, End map[int32]int64
	// Unanswered partitions exist, and the brokers do not say where they begin and
	// end, with the reason.
	Unanswered map[int32]string
	// Problem is why nothing is known of the topic.
	Problem *Problem
}

// Problem is what the brokers say instead of an answer.
type Problem struct {
	Kind Kind
	// Message says it in words.
	Message string
}

// Client asks brokers. It keeps its connections, so close it.
type Client struct {
	options Options
	client  *kgo.Client
}

// Open prepares to ask; it connects to nobody yet. Its error is an *Error of kind
// Setup.
func Open(o Options) (*Client, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if err := o.check(); err != nil {
		return nil, &Error{Setup, err}
	}
	c := &Client{options: o}
	settings := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.Dialer(c.options.dial), kgo.ClientID("sparkpipeline-agent"),
		kgo.DisableClientMetrics(), kgo.RetryTimeout(o.Timeout), kgo.RequestTimeoutOverhead(o.Timeout),
		// Wrong credentials that are tried again and again lock an account.
		kgo.RequestRetries(2),
		// One that stands still for a poll or two is closed: brokers behind a load
		// balancer are asked again where they are now.
		kgo.ConnIdleTimeout(time.Minute),
	}
	if o.SASL != nil {
		mechanism, err := o.SASL.mechanism()
		if err != nil {
			return nil, &Error{Setup, err}
		}
		settings = append(settings, kgo.SASL(mechanism))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return nil, &Error{Setup, err}
	}
	c.client = client
	return c, nil
}

// Close ends the connections.
func (c *Client) Close() { c.client.Close() }

// rounds are how often is asked while partitions change their leader.
const rounds = 3

// Topics asks for topics by name. An error, an *Error or that of ctx, means that
// nothing is known; what is wrong with one topic is its Problem.
func (c *Client) Topics(ctx context.Context, names []string) (map[string]Topic, error) {
	if len(names) == 0 {
		return map[string]Topic{}, nil // Without names the brokers would tell of all topics.
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	for round := 1; ; round++ {
		q := &question{client: c.client, topics: map[string]Topic{}, leaders: map[int32]*leader{}}
		if err := q.ask(ctx, names); err != nil {
			return nil, c.explain(outer, err)
		}
		if !q.passing || round == rounds || pause(ctx, time.Duration(round)*250*time.Millisecond) != nil {
			return q.topics, outer.Err()
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// question is one round of requests: one for metadata, and two to each broker that
// leads partitions. Package kadm asks the same, but one topic without a right costs
// it the answer on all others.
type question struct {
	client *kgo.Client

	mu      sync.Mutex
	topics  map[string]Topic
	leaders map[int32]*leader
	// passing: something was not answered that may be the next time.
	passing bool
	// answered counts the brokers that did, firstErr is of one that did not.
	answered int
	firstErr error
}

// leader is a broker with the partitions that it leads.
type leader struct {
	partitions map[string][]int32
}

func (q *question) ask(ctx context.Context, names []string) error {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, t)
	}
	answer, err := request.RequestWith(ctx, q.client)
	if err != nil {
		return err
	}
	for _, name := range names {
		q.topics[name] = Topic{Name: name, Problem: problemOf(name, kerr.UnknownTopicOrPartition)}
	}
	for i := range answer.Topics {
		if t := &answer.Topics[i]; t.Topic != nil {
			q.topic(*t.Topic, t)
		}
	}
	var all sync.WaitGroup
	for id, l := range q.leaders {
		all.Go(func() { q.offsets(ctx, id, l) })
	}
	all.Wait()
	if q.answered == 0 {
		return q.firstErr
	}
	return nil
}

func (q *question) topic(name string, t *kmsg.MetadataResponseTopic) {
	topic := Topic{Name: name, Begin: map[int32]int64{}, End: map[int32]int64{}, Unanswered: map[int32]string{}}
	err := kerr.ErrorForCode(t.ErrorCode)
	topic.Problem = problemOf(name, err)
	q.passing = q.passing || isAny(err, kerr.LeaderNotAvailable)
	if topic.Problem == nil {
		topic.ID = idOf(t.TopicID)
	}
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			topic.Unanswered[p.Partition] = "it has no leader"
			q.passing = true
			continue
		}
		topic.Unanswered[p.Partition] = fmt.Sprintf("broker %d, which leads it, did not answer", p.Leader)
		l := q.leaders[p.Leader]
		if l == nil {
			l = &leader{map[string][]int32{}}
			q.leaders[p.Leader] = l
		}
		l.partitions[name] = append(l.partitions[name], p.Partition)
	}
	q.topics[name] = topic
}

// Times by which ListOffsets means the ends of a partition. The later one is the
// high watermark, as the isolation level is to read what is not committed.
const (
	timeOfBegin = -2
	timeOfEnd   = -1
)

// offsets asks one broker where its partitions begin and end. One that does not
// answer costs its own partitions alone.
func (q *question) offsets(ctx context.Context, id int32, l *leader) {
	var begin, end *kmsg.ListOffsetsResponse
	var beginErr, endErr error
	var both sync.WaitGroup
	both.Go(func() { begin, beginErr = l.list(ctx, q.client.Broker(int(id)), timeOfBegin) })
	both.Go(func() { end, endErr = l.list(ctx, q.client.Broker(int(id)), timeOfEnd) })
	both.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := errors.Join(beginErr, endErr); err != nil {
		q.firstErr = err
		return
	}
	q.answered++
	// Both have to be known of a partition.
	begins := map[string]map[int32]int64{}
	q.each(begin, func(t Topic, p int32, offset int64) {
		if begins[t.Name] == nil {
			begins[t.Name] = map[int32]int64{}
		}
		begins[t.Name][p] = offset
	})
	q.each(end, func(t Topic, p int32, offset int64) {
		if first, ok := begins[t.Name][p]; ok {
			t.Begin[p], t.End[p] = first, offset
			delete(t.Unanswered, p)
		}
	})
}

func (l *leader) list(ctx context.Context, broker *kgo.Broker, at int64) (*kmsg.ListOffsetsResponse, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	for name, partitions := range l.partitions {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		for _, n := range partitions {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = n, at
			t.Partitions = append(t.Partitions, p)
		}
		request.Topics = append(request.Topics, t)
	}
	answer, err := broker.RetriableRequest(ctx, request)
	if err != nil {
		return nil, err
	}
	return answer.(*kmsg.ListOffsetsResponse), nil
}

// each passes on the offsets of an answer and notes what is wrong with the others.
func (q *question) each(answer *kmsg.ListOffsetsResponse, take func(t Topic, p int32, offset int64)) {
	for _, t := range answer.Topics {
		topic, ok := q.topics[t.Topic]
		if !ok {
			continue
		}
		for _, p := range t.Partitions {
			switch err := kerr.ErrorForCode(p.ErrorCode); {
			case err != nil:
				topic.Unanswered[p.Partition] = err.Error()
				q.passing = q.passing || kerr.IsRetriable(err)
			case p.Offset >= 0:
				take(topic, p.Partition, p.Offset)
			}
		}
	}
}

func problemOf(topic string, err error) *Problem {
	switch {
	case err == nil:
		return nil
	case isAny(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException):
		return &Problem{TopicGone, fmt.Sprintf("the brokers know no topic %s", topic)}
	case isAny(err, kerr.TopicAuthorizationFailed):
		return &Problem{NotAuthorized, fmt.Sprintf("this user lacks the right Describe on topic %s; an ACL has to allow it", topic)}
	}
	return &Problem{NotAnswered, fmt.Sprintf("the brokers do not tell of topic %s: %v", topic, err)}
}

// idOf writes an id as Kafka's tools do. Brokers before 2.8 have none.
func idOf(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

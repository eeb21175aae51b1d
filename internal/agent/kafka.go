// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/kafka"
)

// kafkaFlags say how to reach the brokers of the query's Kafka sources. What is not
// given comes from the configuration, credentials from mounted files or the
// environment.
type kafkaFlags struct {
	brokers                           string
	tls                               bool
	caFile, certFile, keyFile, saslIn string
	timeout                           time.Duration
	accept                            []string
}

func (f *kafkaFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.brokers, "kafka-brokers", "", "host:port of Kafka brokers, with commas between them, or none (default the configuration's)")
	flags.BoolVar(&f.tls, "kafka-tls", false, "encrypt the connection to the brokers (default the configuration's)")
	flags.StringVar(&f.caFile, "kafka-ca-file", "", "certificate authority of the brokers, in PEM (default the system's)")
	flags.StringVar(&f.certFile, "kafka-cert-file", "", "client certificate for the brokers, in PEM")
	flags.StringVar(&f.keyFile, "kafka-key-file", "", "key of the client certificate, in PEM")
	flags.StringVar(&f.saslIn, "kafka-sasl-dir", "", "directory with the files mechanism, username and password (default the configuration's, or $KAFKA_SASL_MECHANISM, $KAFKA_SASL_USERNAME and $KAFKA_SASL_PASSWORD)")
	flags.DurationVar(&f.timeout, "kafka-timeout", kafka.DefaultTimeout, "how long the brokers may take for an answer")
}

func (f *kafkaFlags) addAccept(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.accept, "accept-kafka", nil, "kind of finding about Kafka that is no obstacle, or all; may be repeated: "+strings.Join(kindNames(), ", "))
}

func kindNames() []string {
	var out []string
	for _, k := range kafka.Kinds {
		out = append(out, string(k))
	}
	return out
}

// noBrokers is the word for asking nobody whatever the configuration says.
const noBrokers = "none"

// options of the client; nil: no brokers are given.
func (f *kafkaFlags) options(c *config.Config) (*kafka.Options, error) {
	for _, kind := range f.accept {
		if kind != "all" && !slices.Contains(kindNames(), kind) {
			return nil, usage("--accept-kafka is %q; allowed are all, %s", kind, strings.Join(kindNames(), ", "))
		}
	}
	if f.timeout < 100*time.Millisecond || f.timeout > 10*time.Minute {
		return nil, usage("--kafka-timeout is %s; allowed are 100ms to 10m", f.timeout)
	}
	o := &kafka.Options{Timeout: f.timeout}
	switch {
	case f.brokers == noBrokers:
		return nil, nil
	case f.brokers != "":
		o.Brokers = strings.Split(f.brokers, ",")
	case c != nil && c.Kafka != nil:
		o.Brokers = strings.Split(c.Kafka.BootstrapServers, ",")
		f.configured(o, c)
	default:
		return nil, nil
	}
	if f.tls || f.caFile != "" || f.certFile != "" || f.keyFile != "" {
		o.TLS = &kafka.TLS{CAFile: f.caFile, CertFile: f.certFile, KeyFile: f.keyFile}
	}
	if mechanism := os.Getenv("KAFKA_SASL_MECHANISM"); f.saslIn != "" {
		o.SASL = &kafka.SASL{Dir: f.saslIn}
	} else if o.SASL == nil && mechanism != "" {
		o.SASL = &kafka.SASL{Mechanism: mechanism, Username: os.Getenv("KAFKA_SASL_USERNAME"), Password: os.Getenv("KAFKA_SASL_PASSWORD")}
	}
	return o, nil
}

// configured takes what the configuration says of its brokers.
func (f *kafkaFlags) configured(o *kafka.Options, c *config.Config) {
	if t := c.Kafka.TLS; t != nil {
		o.TLS = &kafka.TLS{}
		if t.CASecret != nil {
			o.TLS.CAFile = config.KafkaCAFile
		}
		if t.ClientSecret != nil {
			o.TLS.CertFile, o.TLS.KeyFile = config.KafkaCertFile, config.KafkaKeyFile
		}
	}
	if c.Kafka.SASLSecret != nil {
		o.SASL = &kafka.SASL{Dir: config.KafkaSASLDir}
	}
}

// brokers are asked about topics. The client is made when it is first needed, and
// again after an error that a change of mounted files can mend.
type brokers struct {
	options *kafka.Options
	client  *kafka.Client
}

func (f *kafkaFlags) open(c *config.Config) (*brokers, error) {
	o, err := f.options(c)
	return &brokers{options: o}, err
}

// given says whether there is anybody to ask.
func (b *brokers) given() bool { return b != nil && b.options != nil }

func (b *brokers) close() {
	if b != nil && b.client != nil {
		b.client.Close()
		b.client = nil
	}
}

// topics asks the brokers. Its errors are of package kafka, or that of ctx.
func (b *brokers) topics(ctx context.Context, names []string) (map[string]kafka.Topic, error) {
	if b.client == nil {
		client, err := kafka.Open(*b.options)
		if err != nil {
			return nil, err
		}
		b.client = client
	}
	topics, err := b.client.Topics(ctx, names)
	if err != nil {
		b.close()
	}
	return topics, err
}

// judge holds what a query reads next against the brokers. Only the error of ctx is
// one; all others are findings.
func (b *brokers) judge(ctx context.Context, spans []checkpoint.KafkaSpan, recorded map[string]kafka.Topic, accept []string) ([]kafka.Finding, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	if !b.given() {
		return []kafka.Finding{{Kind: kafka.NotAsked, Severity: kafka.SeverityWarning,
			Message: "the query reads topics of Kafka, and no brokers are given, so nothing tells whether its offsets are still there; give --kafka-brokers"}}, nil
	}
	topics, err := b.topics(ctx, checkpoint.KafkaTopics(spans))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var findings []kafka.Finding
	if err != nil {
		findings = []kafka.Finding{kafka.Failure(err)}
	} else {
		findings = kafka.Judge(spans, topics, recorded)
	}
	for i := range findings {
		f := &findings[i]
		f.Accepted = f.Severity == kafka.SeverityError && (slices.Contains(accept, string(f.Kind)) || slices.Contains(accept, "all"))
	}
	return findings, nil
}

// unfit is an error when a finding that nobody accepted keeps a query from starting.
func unfit(findings []kafka.Finding) error {
	const most = 3
	var texts []string
	code, all := 0, 0
	for _, f := range findings {
		if f.Severity != kafka.SeverityError || f.Accepted {
			continue
		}
		if all++; all <= most {
			texts = append(texts, fmt.Sprintf("%s (%s)", f.Message, f.Kind))
		}
		if code == 0 || code != CodeKafkaUnfit && codeOfFinding(f.Kind) == CodeKafkaUnfit {
			code = codeOfFinding(f.Kind)
		}
	}
	if all > most {
		texts = append(texts, fmt.Sprintf("and %d more", all-most))
	}
	if all == 0 {
		return nil
	}
	return withCode(code, errors.New(strings.Join(texts, "; ")))
}

func codeOfFinding(kind kafka.Kind) int {
	switch kind {
	case kafka.Unreachable, kafka.NotAnswered:
		return CodeKafkaUnreachable
	case kafka.Credentials, kafka.Certificate, kafka.Setup:
		return CodeKafkaCredentials
	case kafka.NotAuthorized:
		return CodeKafkaNotAuthorized
	}
	return CodeKafkaUnfit
}

// recordTopics is what a recovery point keeps of the topics of its sources. why says
// why nothing is known of any of them.
func recordTopics(spans []checkpoint.KafkaSpan, topics map[string]kafka.Topic, why error) []backup.Topic {
	var out []backup.Topic
	for _, name := range checkpoint.KafkaTopics(spans) {
		t := topics[name]
		record := backup.Topic{Name: name, ID: t.ID, Begin: t.Begin, End: t.End}
		switch {
		case why != nil:
			record.Unknown = why.Error()
		case t.Problem != nil:
			record.Unknown = t.Problem.Message
		default:
			for p, why := range t.Unanswered {
				record.Unknown = fmt.Sprintf("of partition %d: %s", p, why)
			}
		}
		out = append(out, record)
	}
	return out
}

// recordedTopics reads it.
func recordedTopics(topics []backup.Topic) map[string]kafka.Topic {
	out := map[string]kafka.Topic{}
	for _, t := range topics {
		out[t.Name] = kafka.Topic{Name: t.Name, ID: t.ID, Begin: t.Begin, End: t.End}
	}
	return out
}

func writeKafka(w io.Writer, findings []kafka.Finding) {
	if len(findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nKAFKA\tSEVERITY\tMESSAGE\n")
	for _, f := range findings {
		severity := string(f.Severity)
		if f.Accepted {
			severity += ", accepted"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Kind, severity, f.Message)
	}
}

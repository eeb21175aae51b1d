// SPDX-License-Identifier: Apache-2.0

// Package config is what the operator tells the agent: the operator writes it as
// pipeline.json into the ConfigMap <pipeline>-agent, the agent reads it. It holds
// no secret: credentials come by environment, from the Secret that the spec names
// or from the identity of the service account.
package config

import (
	"errors"
	"fmt"

	"sigs.k8s.io/json"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// CAFile is where the certificate authority of the object store is mounted when
// the spec names a Secret with one.
const CAFile = "/etc/sparkpipeline/ca/ca.crt"

// Where the Secrets of spec.sources.kafka are mounted. The last one holds the files
// mechanism, username and password.
const (
	KafkaCAFile   = "/etc/sparkpipeline/kafka/ca/ca.crt"
	KafkaCertFile = "/etc/sparkpipeline/kafka/client/tls.crt"
	KafkaKeyFile  = "/etc/sparkpipeline/kafka/client/tls.key"
	KafkaSASLDir  = "/etc/sparkpipeline/kafka/sasl"
)

// Config of the agent of one pipeline.
type Config struct {
	Pipeline Identity `json:"pipeline"`
	// WorkloadNamespace is where the claims are.
	WorkloadNamespace string `json:"workloadNamespace"`
	SparkVersion      string `json:"sparkVersion"`
	// Root is the directory or s3a:// prefix that holds the roots of the queries.
	Root string `json:"root"`
	// Queries declared in the spec; empty: they are discovered below Root.
	Queries []v1alpha1.QuerySpec `json:"queries,omitempty"`
	// Claim of the checkpoint; empty when the state lives in a bucket.
	Claim string `json:"claim,omitempty"`
	// EventLogs is the directory of the event logs.
	EventLogs   string                   `json:"eventLogs"`
	ObjectStore v1alpha1.ObjectStoreSpec `json:"objectStore"`
	Backup      v1alpha1.BackupSpec      `json:"backup"`
	// BackupPrefix in the backups bucket, ArchivePrefix in the archives bucket.
	BackupPrefix  string                `json:"backupPrefix,omitempty"`
	ArchivePrefix string                `json:"archivePrefix,omitempty"`
	Kafka         *v1alpha1.KafkaSource `json:"kafka,omitempty"`
}

// Identity of a pipeline. The UID keeps two pipelines of one name apart in a
// bucket.
type Identity struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Cluster is an id of the cluster that a copy of its objects does not have.
	Cluster string `json:"cluster,omitempty"`
}

// Parse reads a Config. A field that is unknown, there twice or of another type
// is an error that names it.
func Parse(text []byte) (*Config, error) {
	var c Config
	strict, err := json.UnmarshalStrict(text, &c)
	if err != nil {
		return nil, fmt.Errorf("configuration of the agent: %w", err)
	}
	if err := errors.Join(strict...); err != nil {
		return nil, fmt.Errorf("configuration of the agent: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configuration of the agent: %w", err)
	}
	return &c, nil
}

func (c *Config) check() error {
	var problems []error
	for _, required := range []struct{ field, value string }{
		{"pipeline.namespace", c.Pipeline.Namespace},
		{"pipeline.name", c.Pipeline.Name},
		{"pipeline.uid", c.Pipeline.UID},
		{"root", c.Root},
	} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("%s is empty; a value is required", required.field))
		}
	}
	for _, span := range []struct {
		field string
		value v1alpha1.Duration
	}{
		{"backup.checkpoint.retention", c.Backup.Checkpoint.Retention},
		{"backup.eventLogArchive.after", c.Backup.EventLogArchive.After},
	} {
		if span.value != "" && span.value.Duration() <= 0 {
			problems = append(problems, fmt.Errorf("%s is %q; allowed is a duration longer than 0s, such as 168h", span.field, span.value))
		}
	}
	return errors.Join(problems...)
}

// QueryPaths are the roots of the declared queries below Root, in the order of
// the spec.
func (c *Config) QueryPaths() []string {
	var paths []string
	for _, q := range c.Queries {
		if q.Path != "" {
			paths = append(paths, q.Path)
		} else {
			paths = append(paths, q.Name)
		}
	}
	return paths
}

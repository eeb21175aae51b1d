// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// AgentConfig is what the agent works on, in pipeline.json of the ConfigMap
// <pipeline>-agent. It holds no secret: credentials come by environment, from the
// Secret that the spec names or from the identity of the service account.
type AgentConfig struct {
	// Pipeline is whose agent it is. The UID keeps two pipelines of one name
	// apart in a bucket.
	Pipeline struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		UID       string `json:"uid"`
	} `json:"pipeline"`
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

// agentConfig is the ConfigMap of the agent.
func agentConfig(in Input) ([]Object, error) {
	p := in.Pipeline
	c := AgentConfig{
		WorkloadNamespace: p.WorkloadNamespace(), SparkVersion: p.Spec.SparkVersion,
		Root: p.CheckpointRoot(), Queries: p.Spec.Checkpoint.Queries, Claim: CheckpointClaim(in), EventLogs: eventLogPath,
		ObjectStore: p.Spec.ObjectStore, Backup: p.Spec.Backup, Kafka: p.Spec.Sources.Kafka,
	}
	c.Pipeline.Namespace, c.Pipeline.Name, c.Pipeline.UID = p.Namespace, p.Name, string(p.UID)
	prefix := "sparkpipeline/" + p.Namespace + "/" + p.Name + "-" + identityHash(p)
	if backsUp(p) {
		c.BackupPrefix = prefix
	}
	if p.Spec.ObjectStore.Buckets.Archives != "" {
		c.ArchivePrefix = prefix
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the configuration of the agent: %w", err)
	}
	return []Object{&corev1.ConfigMap{ObjectMeta: named(in, "agent"), Data: map[string]string{"pipeline.json": string(text)}}}, nil
}

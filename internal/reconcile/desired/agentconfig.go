// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/internal/agent/config"
)

// agentConfig is the ConfigMap of the agent.
func agentConfig(in Input) ([]Object, error) {
	text, err := agentConfigText(in)
	if err != nil {
		return nil, err
	}
	return []Object{&corev1.ConfigMap{ObjectMeta: named(in, "agent"), Data: map[string]string{"pipeline.json": string(text)}}}, nil
}

// agentConfigDigest changes whenever the configuration does.
func agentConfigDigest(in Input) (string, error) {
	text, err := agentConfigText(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

func agentConfigText(in Input) ([]byte, error) {
	p := in.Pipeline
	c := config.Config{
		Pipeline:          config.Identity{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)},
		WorkloadNamespace: p.WorkloadNamespace(), SparkVersion: p.Spec.SparkVersion,
		Root: p.CheckpointRoot(), Queries: p.Spec.Checkpoint.Queries, Claim: CheckpointClaim(in), EventLogs: eventLogPath,
		ObjectStore: p.Spec.ObjectStore, Backup: p.Spec.Backup, Kafka: p.Spec.Sources.Kafka,
	}
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
	return text, nil
}

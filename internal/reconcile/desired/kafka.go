// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"path"

	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/agent/config"
)

// kafkaSecrets bring the agent what it needs to ask the brokers. A Secret that is
// missing keeps no pod from starting: backups and looks do without the brokers, and
// say so.
func kafkaSecrets(p *v1alpha1.SparkPipeline) (volumes []corev1.Volume, mounts []corev1.VolumeMount) {
	k := p.Spec.Sources.Kafka
	if k == nil {
		return nil, nil
	}
	add := func(name, at string, secret *v1alpha1.SecretReference) {
		if secret == nil {
			return
		}
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: secret.Name, DefaultMode: new(int32(0o440)), Optional: new(true)}}})
		mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: at, ReadOnly: true})
	}
	if k.TLS != nil {
		add("kafka-ca", path.Dir(config.KafkaCAFile), k.TLS.CASecret)
		add("kafka-client", path.Dir(config.KafkaCertFile), k.TLS.ClientSecret)
	}
	add("kafka-sasl", config.KafkaSASLDir, k.SASLSecret)
	return volumes, mounts
}

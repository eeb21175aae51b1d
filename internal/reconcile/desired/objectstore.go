// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// confObjectStore tells Hadoop's s3a client of the store.
func confObjectStore(p *v1alpha1.SparkPipeline) map[string]string {
	const s3a = "spark.hadoop.fs.s3a."
	o := p.Spec.ObjectStore
	conf := map[string]string{
		s3a + "endpoint.region":   o.Region,
		s3a + "path.style.access": strconv.FormatBool(o.PathStyle),
	}
	if o.Endpoint != "" {
		conf[s3a+"endpoint"] = o.Endpoint
	}
	switch o.Encryption.Mode {
	case v1alpha1.EncryptionSSES3:
		conf[s3a+"encryption.algorithm"] = "AES256"
	case v1alpha1.EncryptionSSEKMS:
		conf[s3a+"encryption.algorithm"] = "SSE-KMS"
		if o.Encryption.KMSKeyID != "" {
			conf[s3a+"encryption.key"] = o.Encryption.KMSKeyID
		}
	}
	if provider := credentialsProvider(p); provider != "" {
		conf[s3a+"aws.credentials.provider"] = provider
	}
	return conf
}

// credentialsProvider names the class that finds the credentials. Hadoop 3.4,
// which Spark 4 ships, is on version 2 of the AWS SDK. Without credentials in the
// spec Hadoop's own chain decides.
func credentialsProvider(p *v1alpha1.SparkPipeline) string {
	c := p.Spec.ObjectStore.Credentials
	switch {
	case c.SecretName != "" && p.SparkAtLeast(4, 0):
		return "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"
	case c.SecretName != "":
		return "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"
	case c.WorkloadIdentity != nil && p.SparkAtLeast(4, 0):
		return "software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider"
	case c.WorkloadIdentity != nil:
		return "com.amazonaws.auth.WebIdentityTokenCredentialsProvider"
	}
	return ""
}

// objectStoreEnv is the environment by which an application finds its buckets,
// and its pods prove who they are.
func objectStoreEnv(p *v1alpha1.SparkPipeline) []corev1.EnvVar {
	o := p.Spec.ObjectStore
	env := []corev1.EnvVar{{Name: "AWS_REGION", Value: o.Region}}
	for _, b := range []struct {
		name   string
		bucket v1alpha1.BucketName
	}{
		{"SPARKPIPELINE_BUCKET_INPUT", o.Buckets.Input},
		{"SPARKPIPELINE_BUCKET_OUTPUT", o.Buckets.Output},
		{"SPARKPIPELINE_BUCKET_CHECKPOINTS", o.Buckets.Checkpoints},
		{"SPARKPIPELINE_BUCKET_BACKUPS", o.Buckets.Backups},
		{"SPARKPIPELINE_BUCKET_ARCHIVES", o.Buckets.Archives},
	} {
		if b.bucket != "" {
			env = append(env, corev1.EnvVar{Name: b.name, Value: string(b.bucket)})
		}
	}
	if o.Credentials.SecretName != "" {
		for _, key := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			env = append(env, corev1.EnvVar{Name: key, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: o.Credentials.SecretName}, Key: key}}})
		}
	}
	return env
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// conf are the settings of a rendered SparkApplication.
func conf(t *testing.T, in desired.Input) map[string]string {
	t.Helper()
	r, err := desired.Application(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := unstructured.NestedStringMap(r.Object.Object, "spec", "sparkConf")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// expect holds settings against what they should be; an empty value means absent.
func expect(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s is %q, expected %q", what, name, got[name], value)
		}
	}
}

// Old batches stay long enough for a backup at the shortest trigger; a user may
// keep more, not less.
func TestBatchesToRetain(t *testing.T) {
	const name = "spark.sql.streaming.minBatchesToRetain"
	for _, c := range []struct {
		what     string
		triggers []v1alpha1.Duration
		set      v1alpha1.SparkConfValue
		want     string
	}{
		{"nothing declared: Spark's own", nil, "", "100"},
		{"fifteen minutes of 10 s are 90", []v1alpha1.Duration{"10s"}, "", "100"},
		{"the shortest trigger counts", []v1alpha1.Duration{"1m", "5s"}, "", "180"},
		{"part of a batch is one", []v1alpha1.Duration{"7s"}, "", "129"},
		{"a trigger of nothing", []v1alpha1.Duration{"0s"}, "", "100"},
		{"a user's larger one", []v1alpha1.Duration{"5s"}, "1000", "1000"},
		{"a user's smaller one", []v1alpha1.Duration{"5s"}, "2", "180"},
		{"a user's mistake", nil, "many", "100"},
	} {
		in := caseNamed(t, "minimal")
		for i, trigger := range c.triggers {
			in.Pipeline.Spec.Checkpoint.Queries = append(in.Pipeline.Spec.Checkpoint.Queries, v1alpha1.QuerySpec{Name: string(rune('a' + i)), Trigger: trigger})
		}
		if c.set != "" {
			in.Pipeline.Spec.Application.SparkConf = v1alpha1.SparkConf{name: c.set}
		}
		expect(t, c.what, conf(t, in), map[string]string{name: c.want})
	}
}

// Proposals yield to the user; what the operator owns does not depend on them.
func TestUsersSettings(t *testing.T) {
	in := caseNamed(t, "minimal")
	in.Pipeline.Spec.Application.SparkConf = v1alpha1.SparkConf{"spark.ui.retainedJobs": "10", "spark.sql.adaptive.enabled": "true"}
	expect(t, "with settings", conf(t, in), map[string]string{
		"spark.ui.retainedJobs": "10", "spark.ui.retainedStages": "200", "spark.sql.adaptive.enabled": "true", "spark.port.maxRetries": "0"})

	in.Pipeline.Spec.Application.SparkConf = v1alpha1.SparkConf{"spark.executor.extraJavaOptions": "-Xss4m"}
	in.Pipeline.Spec.Monitoring.JMX = v1alpha1.JMXImage
	const agent = "-javaagent:/opt/spark/jars/jmx_prometheus_javaagent.jar=8090:/opt/sparkpipeline/jmx/rules.yaml"
	expect(t, "with JMX", conf(t, in), map[string]string{
		"spark.executor.extraJavaOptions": "-Xss4m " + agent, "spark.driver.extraJavaOptions": agent})
}

// What a version of Spark does not have is not asked of it.
func TestVersionsOfSpark(t *testing.T) {
	for version, want := range map[string]map[string]string{
		"3.5.8":  {"spark.kubernetes.executor.useDriverPodIP": "", "spark.kubernetes.allocation.driver.readinessTimeout": "120s", "spark.submit.callSystemExitOnMainExit": ""},
		"4.0.2":  {"spark.kubernetes.executor.terminationGracePeriodSeconds": "", "spark.kubernetes.executor.useDriverPodIP": "", "spark.kubernetes.allocation.driver.readinessTimeout": "120s"},
		"4.1.0":  {"spark.kubernetes.executor.terminationGracePeriodSeconds": "90s", "spark.kubernetes.executor.useDriverPodIP": "true", "spark.kubernetes.allocation.driver.readinessTimeout": "", "spark.submit.callSystemExitOnMainExit": "true"},
		"4.10.0": {"spark.kubernetes.executor.useDriverPodIP": "true"},
	} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.SparkVersion = version
		expect(t, version, conf(t, in), want)
	}
}

// Levels of encryption exclude each other, and processes always authenticate.
func TestEncryption(t *testing.T) {
	for level, want := range map[v1alpha1.EncryptionLevel]map[string]string{
		v1alpha1.SecurityTLS: {"spark.ssl.rpc.enabled": "true", "spark.network.crypto.enabled": "", "spark.io.encryption.enabled": "true",
			"spark.ssl.rpc.trustStore":                                                 "/etc/sparkpipeline/tls/truststore.p12",
			"spark.kubernetes.executor.secrets.orders-tls":                             "/etc/sparkpipeline/tls",
			"spark.kubernetes.executor.secretKeyRef._SPARK_SSL_RPC_KEY_PASSWORD":       "orders-spark:keystore-password",
			"spark.kubernetes.driver.secretKeyRef._SPARK_SSL_RPC_TRUST_STORE_PASSWORD": "orders-spark:keystore-password"},
		v1alpha1.SecurityAES: {"spark.ssl.rpc.enabled": "", "spark.network.crypto.enabled": "true", "spark.network.crypto.cipher": "AES/GCM/NoPadding",
			"spark.network.crypto.saslFallback": "false"},
		v1alpha1.SecurityDisabled: {"spark.ssl.rpc.enabled": "", "spark.network.crypto.enabled": "", "spark.io.encryption.enabled": ""},
	} {
		in := caseNamed(t, "minimal")
		in.Facts.Encryption = level
		got := conf(t, in)
		expect(t, string(level), got, want)
		expect(t, string(level), got, map[string]string{"spark.authenticate": "true"})
	}
}

func TestObjectStore(t *testing.T) {
	const s3a = "spark.hadoop.fs.s3a."
	for _, c := range []struct {
		what     string
		pipeline string
		change   func(*v1alpha1.ObjectStoreSpec)
		version  string
		want     map[string]string
	}{
		{"AWS by Hadoop's own chain", "minimal", func(*v1alpha1.ObjectStoreSpec) {}, "4.1.4", map[string]string{
			"endpoint": "", "endpoint.region": "us-west-2", "path.style.access": "false", "encryption.algorithm": "", "aws.credentials.provider": ""}},
		{"another store", "object-store", func(*v1alpha1.ObjectStoreSpec) {}, "4.1.4", map[string]string{
			"endpoint": "https://minio.example.com:9000", "path.style.access": "true", "encryption.algorithm": "AES256",
			"aws.credentials.provider": "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"}},
		{"a key of KMS", "full", func(*v1alpha1.ObjectStoreSpec) {}, "4.1.4", map[string]string{
			"encryption.algorithm": "SSE-KMS", "encryption.key": "arn:aws:kms:us-west-2:123456789012:key/orders",
			"aws.credentials.provider": "software.amazon.awssdk.auth.credentials.WebIdentityTokenFileCredentialsProvider"}},
		{"the account's key", "full", func(o *v1alpha1.ObjectStoreSpec) { o.Encryption.KMSKeyID = "" }, "4.1.4", map[string]string{
			"encryption.algorithm": "SSE-KMS", "encryption.key": ""}},
		{"the first SDK, a Secret", "spark35", func(*v1alpha1.ObjectStoreSpec) {}, "3.5.8", map[string]string{
			"aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"}},
		{"the first SDK, an identity", "spark35", func(o *v1alpha1.ObjectStoreSpec) {
			o.Credentials = v1alpha1.CredentialsSpec{WorkloadIdentity: &v1alpha1.WorkloadIdentity{}}
		}, "3.5.8", map[string]string{"aws.credentials.provider": "com.amazonaws.auth.WebIdentityTokenCredentialsProvider"}},
	} {
		in := caseNamed(t, c.pipeline)
		in.Pipeline.Spec.SparkVersion = c.version
		c.change(&in.Pipeline.Spec.ObjectStore)
		want := map[string]string{}
		for name, value := range c.want {
			want[s3a+name] = value
		}
		expect(t, c.what, conf(t, in), want)
	}
}

// Kept quick retries stay quick: kubeflow knows whole seconds, one at least.
func TestRestartPolicy(t *testing.T) {
	for interval, want := range map[v1alpha1.Duration]int64{"30s": 30, "1s": 1, "1500ms": 1, "2m": 120} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.Restart.Interval, in.Pipeline.Spec.Restart.QuickRetries = interval, 0
		r, err := desired.Application(scheme(t), in)
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := unstructured.NestedMap(r.Object.Object, "spec", "restartPolicy")
		if got["type"] != "OnFailure" || got["onFailureRetries"] != int64(0) || got["onFailureRetryInterval"] != want || got["onSubmissionFailureRetryInterval"] != want {
			t.Errorf("%s: got %v", interval, got)
		}
	}
}

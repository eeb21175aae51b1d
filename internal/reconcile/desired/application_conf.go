// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkconf"
)

// Ports of Spark's processes. Network policies open exactly these.
const (
	portDriver       = 7078
	portBlockManager = 7079
	portUI           = 4040
	portJMX          = 8090
	portHistory      = 18080
)

// MetricsNamespace is constant, or the names of Spark's metrics would change with
// each run.
const MetricsNamespace = "spark"

const (
	eventLogPath = "/mnt/spark-events"
	tlsPath      = "/etc/sparkpipeline/tls"
	ivyPath      = "/tmp/.ivy2"
)

// backupTime is how long every batch stays restorable at least, so that a backup
// that has begun can end.
const backupTime = 15 * time.Minute

// sparkConf merges what the operator proposes, what the user sets, and what the
// operator must own, in this order.
func sparkConf(in Input) (map[string]string, error) {
	conf := proposed(in.Pipeline)
	for _, name := range slices.Sorted(maps.Keys(in.Pipeline.Spec.Application.SparkConf)) {
		// The schema has refused these already; a table that grows in an upgrade
		// may meet a pipeline that was stored before.
		if instead, refused := sparkconf.Refused(name); refused {
			return nil, &InvalidError{Field: "spec.application.sparkConf", Found: strconv.Quote(name), Allowed: instead}
		}
		conf[name] = string(in.Pipeline.Spec.Application.SparkConf[name])
	}
	if in.Facts.Encryption == v1alpha1.SecurityAES && !hasGCM(in.Pipeline.Spec.SparkVersion) {
		return nil, &InvalidError{Field: "spec.sparkVersion", Found: in.Pipeline.Spec.SparkVersion + " with encryption AES",
			Allowed: "3.5.2 or later, the first with AES-GCM, or spec.security.encryption Disabled"}
	}
	for _, owned := range []map[string]string{
		confRun(in.Pipeline), confVolumes(in), confMetrics(), confSecurity(in), confObjectStore(in.Pipeline),
	} {
		maps.Copy(conf, owned)
	}
	combine(conf, in.Pipeline)
	return conf, nil
}

// combine settles the settings that the user and the operator both have a word
// in: options of the JVM add up, and of two retentions the longer one holds.
func combine(conf map[string]string, p *v1alpha1.SparkPipeline) {
	if p.Spec.Monitoring.JMX != v1alpha1.JMXDisabled {
		agent := fmt.Sprintf("-javaagent:%s=%d:%s", jmxJar(p), portJMX, jmxRules)
		for _, name := range []string{"spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"} {
			conf[name] = strings.TrimSpace(conf[name] + " " + agent)
		}
	}
	const retain = "spark.sql.streaming.minBatchesToRetain"
	if n, err := strconv.Atoi(conf[retain]); err != nil || n < batchesToRetain(p) {
		conf[retain] = strconv.Itoa(batchesToRetain(p))
	}
}

// proposed are good values that a user may replace.
func proposed(p *v1alpha1.SparkPipeline) map[string]string {
	conf := map[string]string{
		"spark.sql.streaming.minBatchesToRetain": strconv.Itoa(batchesToRetain(p)),
		// Months of jobs would fill the driver's heap.
		"spark.ui.retainedJobs":                  "200",
		"spark.ui.retainedStages":                "200",
		"spark.ui.retainedTasks":                 "10000",
		"spark.sql.ui.retainedExecutions":        "50",
		"spark.sql.streaming.ui.retainedQueries": "20",
		// Without a window, failures add up over months to exit code 11.
		"spark.executor.failuresValidityInterval": "1h",
		"spark.executor.maxNumFailures":           "100",
	}
	return conf
}

// batchesToRetain covers backupTime at the shortest declared trigger, and is never
// below Spark's own 100.
func batchesToRetain(p *v1alpha1.SparkPipeline) int {
	most := 100
	for _, q := range p.Spec.Checkpoint.Queries {
		if trigger := q.Trigger.Duration(); trigger > 0 {
			most = max(most, int((backupTime+trigger-1)/trigger))
		}
	}
	return most
}

// confRun is how the application runs on Kubernetes and can be scaled from
// outside.
func confRun(p *v1alpha1.SparkPipeline) map[string]string {
	conf := map[string]string{
		"spark.driver.port":              strconv.Itoa(portDriver),
		"spark.driver.blockManager.port": strconv.Itoa(portBlockManager),
		"spark.blockManager.port":        strconv.Itoa(portBlockManager),
		"spark.ui.port":                  strconv.Itoa(portUI),
		"spark.port.maxRetries":          "0",

		// The driver writes the size of its StatefulSet once; after that whoever
		// scales it from outside is in charge.
		"spark.kubernetes.allocation.pods.allocator": "statefulset",
		"spark.dynamicAllocation.enabled":            "false",
		// A failed executor is restarted in place instead of being deleted too.
		"spark.kubernetes.executor.deleteOnTermination": "false",

		"spark.decommission.enabled":         "true",
		"spark.storage.decommission.enabled": "true",
		// With the default of 30 s an executor never leaves in time.
		"spark.storage.decommission.replicationReattemptInterval": "3s",

		"spark.sql.streaming.checkpointLocation": p.CheckpointRoot(),
		"spark.eventLog.enabled":                 "true",
		"spark.eventLog.dir":                     "file://" + eventLogPath,
		"spark.eventLog.rolling.enabled":         "true",
		"spark.jars.ivy":                         ivyPath,
	}
	if p.Spec.Checkpoint.Location == "" {
		conf["spark.sql.streaming.checkpointLocation"] = "file://" + p.CheckpointRoot()
	}
	if p.SparkAtLeast(4, 1) {
		// A driver that is not ready has no name in DNS yet.
		conf["spark.kubernetes.executor.useDriverPodIP"] = "true"
		conf["spark.submit.callSystemExitOnMainExit"] = "true"
		conf["spark.kubernetes.driver.annotateExitException"] = "true"
		// From here on Spark writes its own grace period, of 30 s, over that of the
		// template, and an executor would be killed while it hands its blocks over.
		conf["spark.kubernetes.executor.terminationGracePeriodSeconds"] = strconv.Itoa(executorGrace) + "s"
	} else {
		conf["spark.kubernetes.allocation.driver.readinessTimeout"] = "120s"
	}
	return conf
}

// confVolumes mounts claims by settings of Spark itself: with kubeflow's webhook
// away, a volume that only the webhook mounts would be missing, and the stream
// would start from nothing.
func confVolumes(in Input) map[string]string {
	conf := map[string]string{}
	mount := func(role, name, claim, path string) {
		prefix := fmt.Sprintf("spark.kubernetes.%s.volumes.persistentVolumeClaim.%s.", role, name)
		conf[prefix+"options.claimName"] = claim
		conf[prefix+"mount.path"] = path
	}
	mount("driver", "eventlog", eventLogClaim(in.Pipeline), eventLogPath)
	if claim := CheckpointClaim(in); claim != "" {
		mount("driver", "checkpoint", claim, in.Pipeline.Spec.Checkpoint.MountPath)
		mount("executor", "checkpoint", claim, in.Pipeline.Spec.Checkpoint.MountPath)
	}
	return conf
}

// confMetrics serves metrics from Spark's own endpoints, so that a stock image
// works.
func confMetrics() map[string]string {
	return map[string]string{
		"spark.metrics.namespace":                           MetricsNamespace,
		"spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
		"spark.metrics.conf.*.sink.prometheusServlet.path":  "/metrics/prometheus",
		"spark.metrics.conf.*.source.jvm.class":             "org.apache.spark.metrics.source.JvmSource",
		"spark.metrics.appStatusSource.enabled":             "true",
		"spark.ui.prometheus.enabled":                       "true",
		"spark.sql.streaming.metricsEnabled":                "true",
	}
}

// hasGCM says whether a Spark of that version has authenticated encryption, which
// came with 3.5.2 and 4.0 (SPARK-47172).
func hasGCM(version string) bool {
	patch, is35 := strings.CutPrefix(version, "3.5.")
	n, err := strconv.Atoi(patch)
	return !is35 || err == nil && n >= 2
}

// confSecurity authenticates Spark's processes to each other and encrypts what
// they say. Keys and passwords come from Secrets, never from settings.
func confSecurity(in Input) map[string]string {
	conf := map[string]string{
		// The secret is made by the driver for each run.
		"spark.authenticate": "true",
	}
	p := in.Pipeline
	switch in.Facts.Encryption {
	case v1alpha1.SecurityTLS:
		maps.Copy(conf, map[string]string{
			"spark.ssl.rpc.enabled":        "true",
			"spark.ssl.rpc.protocol":       "TLSv1.3",
			"spark.ssl.rpc.keyStoreType":   "PKCS12",
			"spark.ssl.rpc.trustStoreType": "PKCS12",
			"spark.ssl.rpc.keyStore":       tlsPath + "/keystore.p12",
			"spark.ssl.rpc.trustStore":     tlsPath + "/truststore.p12",
			"spark.io.encryption.enabled":  "true",
		})
		for _, role := range []string{"driver", "executor"} {
			conf["spark.kubernetes."+role+".secrets."+tlsName(p)] = tlsPath
			for _, password := range []string{"KEY_STORE", "KEY", "TRUST_STORE"} {
				conf["spark.kubernetes."+role+".secretKeyRef._SPARK_SSL_RPC_"+password+"_PASSWORD"] = secretName(p) + ":" + keyStorePassword
			}
		}
	case v1alpha1.SecurityAES:
		maps.Copy(conf, map[string]string{
			"spark.network.crypto.enabled":           "true",
			"spark.network.crypto.authEngineVersion": "2",
			"spark.network.crypto.saslFallback":      "false",
			"spark.network.crypto.cipher":            "AES/GCM/NoPadding",
			"spark.io.encryption.enabled":            "true",
		})
	}
	return conf
}

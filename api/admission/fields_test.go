// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// field is what one field of the spec may hold by itself.
type field struct {
	path string // in everything.yaml
	// with changes the manifest first, where the field needs it.
	with           string
	accept, refuse []any
	allowed        string // the part of each refusal that says what is allowed
}

type values = []any

var (
	notSet = `spec: {checkpoint: {volume: null}}`
	fields = concat(numbers, choices, texts, quantities,
		each(durations, field{accept: values{"90s", "1h30m"}, refuse: values{"5 minutes", "-5m", "1d"}, allowed: "should match"}),
		each(durations, field{refuse: values{"0s", "0h0m"}, allowed: "a duration longer than 0s is allowed, such as 30s, 5m or 168h"}),
		each(buckets, field{accept: values{"abc", "acme.backups-2", strings.Repeat("a", 63)}, refuse: values{"Acme", "acme_backups", "-acme", "acme-"}, allowed: "should match"}),
		each(buckets, field{refuse: values{"a..b", "a.-b", "a-.b", "10.0.0.1", "xn--acme", "acme-s3alias"}, allowed: "a name without two dots, a dot beside a hyphen, the form of an IP address, xn-- at the start or -s3alias at the end is allowed"}),
		each(secretNames, field{accept: values{"a", "kafka.ca-2"}, refuse: values{"Kafka", "a/b", "../a", "a_b"}, allowed: "should match"}),
		each(secretKeys, field{accept: values{"ca.crt", "API_KEY-1"}, refuse: values{"a/b", "a b"}, allowed: "should match"}),
		each(classNames, field{accept: values{"", "spark-checkpoint-ssd", "a.b"}, refuse: values{"EFS", "a b", "-a"}, allowed: "should match"}),
		each(dependencies, field{accept: values{"local:///a.jar", "s3a://bucket/a.jar", "https://example.com/a.jar"}, refuse: values{"file:///etc/passwd", "/etc/passwd", "local:///a.jar,file:///etc/passwd", "ftp://example.com/a"}, allowed: "should match"}),
		each(memories, field{accept: values{"512m", "4g", "2T"}, refuse: values{"4", "4gb", "4Gi", "0g", "1.5g", "-4g"}, allowed: "should match"}),
		each(ranges, field{accept: values{"10.0.0.0/8", "fd00::/8"}, refuse: values{"10.0.0.0", "10.0.0.0/33", "example.com"}, allowed: "a range of addresses such as 10.0.0.0/16 is allowed"}),
		each(timeZones, field{accept: values{"UTC", "Europe/Berlin", "Etc/GMT+5", "America/Argentina/Buenos_Aires"}, refuse: values{"Europe Berlin", "../etc/passwd", "Europe/"}, allowed: "should match"}),
		each(states, field{accept: values{"Enabled", "Disabled"}, refuse: values{"On", "enabled", ""}, allowed: `supported values: "Enabled", "Disabled"`}),
	)
)

// Fields of the same type.
var (
	durations = []string{
		"spec.backup.checkpoint.retention", "spec.backup.snapshot.retention", "spec.backup.eventLogArchive.after", "spec.backup.velero.ttl",
		"spec.checkpoint.queries[0].trigger", "spec.health.stallAfter", "spec.maintenanceWindows[0].duration",
		"spec.monitoring.alerts.thresholds.gcTime", "spec.monitoring.alerts.thresholds.streamingDelay", "spec.monitoring.scrapeInterval",
		"spec.recovery.failureBudget.healthyAfter", "spec.recovery.failureBudget.per", "spec.restart.interval", "spec.upgrade.healthyWithin",
		"spec.recovery.objectives.crash.rto", "spec.recovery.objectives.crash.rpo", "spec.recovery.objectives.volume.rto", "spec.recovery.objectives.volume.rpo",
		"spec.recovery.objectives.cluster.rto", "spec.recovery.objectives.cluster.rpo", "spec.recovery.objectives.region.rto", "spec.recovery.objectives.region.rpo",
	}
	buckets = []string{
		"spec.objectStore.buckets.archives", "spec.objectStore.buckets.backups", "spec.objectStore.buckets.checkpoints", "spec.objectStore.buckets.input",
		"spec.objectStore.buckets.output", "spec.bootstrap.recovery.bucket", "spec.recovery.replica.bucket",
	}
	secretNames = []string{
		"spec.monitoring.alertmanager.pagerDuty.routingKeySecret.name", "spec.monitoring.alertmanager.slack.apiURLSecret.name",
		"spec.objectStore.caSecret.name", "spec.sources.kafka.saslSecret.name", "spec.sources.kafka.tls.caSecret.name",
		"spec.sources.kafka.tls.clientSecret.name",
	}
	secretKeys   = []string{"spec.monitoring.alertmanager.pagerDuty.routingKeySecret.key", "spec.monitoring.alertmanager.slack.apiURLSecret.key"}
	classNames   = []string{"spec.backup.snapshot.volumeSnapshotClassName", "spec.checkpoint.volume.storageClassName", "spec.eventLog.volume.storageClassName"}
	dependencies = []string{"spec.application.dependencies.jars[0]", "spec.application.dependencies.files[0]", "spec.application.dependencies.pyFiles[0]"}
	memories     = []string{"spec.driver.memory", "spec.driver.memoryOverhead", "spec.executor.memory", "spec.executor.memoryOverhead"}
	ranges       = []string{"spec.network.egress.extra[0].cidr", "spec.network.egress.kafka[0]", "spec.network.egress.objectStore[0]"}
	timeZones    = []string{"spec.maintenanceWindows[0].timeZone", "spec.scaling.schedules[0].timeZone"}
	states       = []string{
		"spec.backup.drill.state", "spec.backup.snapshot.state", "spec.backup.velero.state", "spec.historyServer.state",
		"spec.monitoring.dashboards", "spec.scaling.state",
	}
)

var numbers = []field{
	{path: "spec.driver.cores", accept: values{1, 128}, refuse: values{0, -1}, allowed: "should be greater than or equal to 1"},
	{path: "spec.driver.cores", refuse: values{129}, allowed: "should be less than or equal to 128"},
	{path: "spec.executor.cores", accept: values{1, 128}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.executor.cores", refuse: values{129}, allowed: "should be less than or equal to 128"},
	{path: "spec.executor.instances", accept: values{1, 1000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.executor.instances", refuse: values{1001}, allowed: "should be less than or equal to 1000"},
	{path: "spec.scaling.minExecutors", accept: values{3, 20}, refuse: values{0, -3}, allowed: "should be greater than or equal to 1"},
	{path: "spec.scaling.minExecutors", with: `spec: {scaling: {maxExecutors: 1000}}`, accept: values{1000}, refuse: values{1001}, allowed: "should be less than or equal to 1000"},
	{path: "spec.scaling.maxExecutors", accept: values{3, 1000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.scaling.maxExecutors", refuse: values{1001}, allowed: "should be less than or equal to 1000"},
	{path: "spec.scaling.schedules[0].minExecutors", with: `spec: {disruption: {executorMinAvailable: 0}}`, accept: values{1, 4}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.scaling.schedules[0].minExecutors", refuse: values{1001}, allowed: "should be less than or equal to 1000"},
	{path: "spec.scaling.schedules[0].maxExecutors", accept: values{3, 1000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.scaling.schedules[0].maxExecutors", refuse: values{1001}, allowed: "should be less than or equal to 1000"},
	{path: "spec.scaling.cpuUtilization", accept: values{0, 100}, refuse: values{-1}, allowed: "should be greater than or equal to 0"},
	{path: "spec.scaling.cpuUtilization", refuse: values{101}, allowed: "should be less than or equal to 100"},
	{path: "spec.scaling.memoryUtilization", accept: values{1, 100}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.scaling.memoryUtilization", refuse: values{101}, allowed: "should be less than or equal to 100"},
	{path: "spec.scaling.inputRate.perExecutor", accept: values{1, 5000000000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.scaling.kafkaLag.perExecutor", accept: values{1, 5000000000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.disruption.driverMinAvailable", accept: values{0, 1}, refuse: values{-1}, allowed: "should be greater than or equal to 0"},
	{path: "spec.disruption.driverMinAvailable", refuse: values{2}, allowed: "should be less than or equal to 1"},
	{path: "spec.disruption.executorMinAvailable", accept: values{0, 2}, refuse: values{-1}, allowed: "should be greater than or equal to 0"},
	{path: "spec.disruption.executorMinAvailable", refuse: values{1000}, allowed: "should be less than or equal to 999"},
	{path: "spec.monitoring.alerts.thresholds.executorMemoryPercent", accept: values{1, 100}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.monitoring.alerts.thresholds.executorMemoryPercent", refuse: values{101}, allowed: "should be less than or equal to 100"},
	{path: "spec.monitoring.alerts.thresholds.heapPercent", accept: values{1, 100}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.monitoring.alerts.thresholds.heapPercent", refuse: values{101}, allowed: "should be less than or equal to 100"},
	{path: "spec.network.egress.extra[0].ports[0]", accept: values{1, 65535}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.network.egress.extra[0].ports[0]", refuse: values{65536}, allowed: "should be less than or equal to 65535"},
	{path: "spec.quota.pods", accept: values{1, 100000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.quota.pods", refuse: values{100001}, allowed: "should be less than or equal to 100000"},
	{path: "spec.recovery.failureBudget.restarts", accept: values{1, 1000}, refuse: values{0}, allowed: "should be greater than or equal to 1"},
	{path: "spec.recovery.failureBudget.restarts", refuse: values{1001}, allowed: "should be less than or equal to 1000"},
	{path: "spec.restart.quickRetries", accept: values{0, 100}, refuse: values{-1}, allowed: "should be greater than or equal to 0"},
	{path: "spec.restart.quickRetries", refuse: values{101}, allowed: "should be less than or equal to 100"},
}

var choices = []field{
	{path: "spec.application.type", accept: values{"Java", "Scala", "Python", "R"}, refuse: values{"Go"}, allowed: `supported values: "Java", "Scala", "Python", "R"`},
	{path: "spec.backup.eventLogArchive.storageClass", accept: values{"STANDARD", "DEEP_ARCHIVE"}, refuse: values{"GLACIAL"}, allowed: `supported values: "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"`},
	{path: "spec.bootstrap.recovery.oldSideStopped", accept: values{"", "Acknowledged"}, refuse: values{"yes"}, allowed: `supported values: "", "Acknowledged"`},
	{path: "spec.checkpoint.queries[0].sink", accept: values{"UpsertsByKey", "Appends", "SkipsSeenBatches"}, refuse: values{"Delta"}, allowed: `supported values: "UpsertsByKey", "Appends", "SkipsSeenBatches"`},
	{path: "spec.checkpoint.volume.accessMode", accept: values{"ReadWriteMany", "ReadWriteOnce"}, refuse: values{"ReadOnlyMany"}, allowed: `supported values: "ReadWriteMany", "ReadWriteOnce"`},
	{path: "spec.deletionPolicy", accept: values{"Retain", "Delete"}, refuse: values{"Orphan"}, allowed: `supported values: "Retain", "Delete"`},
	{path: "spec.disruption.driver", accept: values{"Move", "Block"}, refuse: values{"Kill"}, allowed: `supported values: "Move", "Block"`},
	{path: "spec.driver.rightSizing", accept: values{"Disabled", "AtRestart"}, refuse: values{"Auto"}, allowed: `supported values: "Disabled", "AtRestart"`},
	{path: "spec.driver.scheduling.capacity", accept: values{"Any", "OnDemand", "Spot"}, refuse: values{"spot"}, allowed: `supported values: "Any", "OnDemand", "Spot"`},
	{path: "spec.executor.scheduling.capacity", accept: values{"Any", "OnDemand", "Spot"}, refuse: values{"spot"}, allowed: `supported values: "Any", "OnDemand", "Spot"`},
	{path: "spec.executor.scheduling.spread", accept: values{"Preferred", "Required", "None"}, refuse: values{"Zone"}, allowed: `supported values: "Preferred", "Required", "None"`},
	{path: "spec.monitoring.alerts.disabled[0]", accept: values{"SparkDriverDown", "HighExecutorFailureRate", "HighStreamingDelay", "HighTaskFailureRate", "ExecutorMemoryPressure", "JVMHeapPressure", "NoExecutorsAvailable", "CheckpointFailure", "HighGCTime"}, refuse: values{"DriverDown"}, allowed: `supported values: "SparkDriverDown", "HighExecutorFailureRate"`},
	{path: "spec.monitoring.jmx", accept: values{"Disabled", "Injected", "Image"}, refuse: values{"Enabled"}, allowed: `supported values: "Disabled", "Injected", "Image"`},
	{path: "spec.network.policy", accept: values{"Strict", "Disabled"}, refuse: values{"Loose"}, allowed: `supported values: "Strict", "Disabled"`},
	{path: "spec.objectStore.encryption.mode", accept: values{"SSE-KMS"}, refuse: values{"SSE-C"}, allowed: `supported values: "", "SSE-S3", "SSE-KMS"`},
	{path: "spec.objectStore.encryption.mode", with: `spec: {objectStore: {encryption: {kmsKeyID: null}}}`, accept: values{"", "SSE-S3"}},
	{path: "spec.recovery.policy", accept: values{"Automatic", "Approve", "Disabled"}, refuse: values{"Manual"}, allowed: `supported values: "Automatic", "Approve", "Disabled"`},
	{path: "spec.security.encryption", accept: values{"Auto", "TLS", "AES", "Disabled"}, refuse: values{"SSL"}, allowed: `supported values: "Auto", "TLS", "AES", "Disabled"`},
	{path: "spec.upgrade.rollback", accept: values{"OnFailure", "Never"}, refuse: values{"Always"}, allowed: `supported values: "OnFailure", "Never"`},
}

var texts = []field{
	{path: "spec.namespace", accept: values{"orders", "orders-2", strings.Repeat("a", 63)}, refuse: values{"Orders", "-a", "a-", "a.b", "a/b"}, allowed: "should match"},
	{path: "spec.sparkVersion", with: `spec: {security: {encryption: Auto}}`, accept: values{"3.5.7", "4.0.0", "4.1.4", "4.12.0"}, refuse: values{"3.4.4", "4.1", "5.0.0", "latest", "4.1.4-rc1"}, allowed: "should match"},
	{path: "spec.image", accept: values{"spark", "registry.example.com:5000/a/b@sha256:0123"}, refuse: values{"a b", "a\nb"}, allowed: "should match"},
	{path: "spec.application.mainClass", accept: values{"Orders", "com.example.Orders$", "_a.b1"}, refuse: values{"com..Orders", "1com", "com.example.Orders; rm"}, allowed: "should match"},
	{path: "spec.application.mainApplicationFile", accept: values{"local:///opt/app/orders.jar", "s3a://acme-jars/orders.jar"}, refuse: values{"/opt/app/orders.jar", "file:///etc/passwd", "https://example.com/a.jar", "local://opt/a b", "s3a://a/b"}, allowed: "should match"},
	{path: "spec.application.dependencies.packages[0]", accept: values{"a:b:1"}, refuse: values{"a:b", "a:b:c:d", "a:b:1,c:d:2"}, allowed: "should match"},
	{path: "spec.application.sparkConf.spark.sql.shuffle.partitions", accept: values{"", "40", "a,b\\c=\"d\" ü"}, refuse: values{"a\nb", "a\x00b"}, allowed: "should match"},
	{path: "spec.driver.coreRequest", accept: values{"1", "1.5", "500m", "0.25"}, refuse: values{"0", "0.0", "1500M", "2 cores"}, allowed: "should match"},
	{path: "spec.executor.coreRequest", accept: values{"1", "1.5", "500m", "0.25"}, refuse: values{"0", "0.0", "1500M", "2 cores"}, allowed: "should match"},
	{path: "spec.bootstrap.recovery.point", accept: values{"", "20260101T000000Z-1"}, refuse: values{"../a", "a/b"}, allowed: "should match"},
	{path: "spec.bootstrap.recovery.prefix", accept: values{"orders", "orders/3f2a", "orders/"}, refuse: values{"/orders", "../orders", "a/../b", "a//b"}, allowed: "should match"},
	{path: "spec.checkpoint.location", with: notSet, accept: values{"s3a://acme-checkpoints/orders", "s3a://acme-checkpoints/a/b=1"}, refuse: values{"s3://acme-checkpoints/orders", "s3a://acme-checkpoints", "s3a://acme-checkpoints/", "s3a://acme-checkpoints/a/../b", "s3a://acme-checkpoints/*", "/mnt/checkpoints", "local:///mnt"}, allowed: "should match"},
	{path: "spec.checkpoint.mountPath", accept: values{"/mnt/checkpoints", "/data"}, refuse: values{"mnt", "/", "/mnt/../etc", "/mnt//a", "/mnt/a/", "/a:b", "/a,b"}, allowed: "should match"},
	{path: "spec.checkpoint.queries[0].name", accept: values{"orders", "Orders_agg.2-x"}, refuse: values{"", "a b", "-a", "a/b"}, allowed: "should match"},
	{path: "spec.checkpoint.queries[0].path", accept: values{"orders", "a/b=1/_c"}, refuse: values{"", "/a", "a/../b", "a//b", "a b", "../a"}, allowed: "should match"},
	{path: "spec.monitoring.alertmanager.slack.channel", accept: values{"#spark-alerts", "@oncall", "general"}, refuse: values{"#a b", `#a"b`, "{{ .Labels }}"}, allowed: "should match"},
	{path: "spec.monitoring.alerts.thresholds.executorFailuresPerSecond", accept: values{"0", "0.1", "12.50"}, refuse: values{"-1", "1e3", "a", "1) or vector(1"}, allowed: "should match"},
	{path: "spec.monitoring.alerts.thresholds.taskFailuresPerSecond", accept: values{"0", "0.1", "12.50"}, refuse: values{"-1", "1e3", "a"}, allowed: "should match"},
	{path: "spec.monitoring.labels.release", accept: values{"", "prometheus", "a.b_c-d"}, refuse: values{"-a", "a b", "a/b"}, allowed: "should match"},
	{path: "spec.objectStore.credentials.secretName", with: `spec: {objectStore: {credentials: {workloadIdentity: null}}}`, accept: values{"orders-s3"}, refuse: values{"Orders", "a/b"}, allowed: "should match"},
	{path: "spec.objectStore.encryption.kmsKeyID", accept: values{"alias/orders"}, refuse: values{"a b", "a;b"}, allowed: "should match"},
	{path: "spec.objectStore.endpoint", accept: values{"", "http://minio:9000", "https://s3.example.com"}, refuse: values{"minio:9000", "https://s3.example.com/path", "https://user@host", "ftp://a"}, allowed: "should match"},
	{path: "spec.objectStore.region", accept: values{"us-west-2", "eu"}, refuse: values{"US", "us west", "-a"}, allowed: "should match"},
	{path: "spec.recovery.replica.region", accept: values{"us-west-2", "eu"}, refuse: values{"US", "us west", "-a"}, allowed: "should match"},
	{path: "spec.sources.kafka.bootstrapServers", accept: values{"kafka:9092", "a.example.com:1,b-2:65535"}, refuse: values{"", "kafka", "kafka:", "a:1,", "a:1, b:2", "a:1;b:2", "http://a:1"}, allowed: "should match"},
}

var quantities = []field{
	{path: "spec.checkpoint.volume.size", accept: values{"1", "1.5Gi", "200Gi", 1000}, refuse: values{"100GB", "much", "1 Gi"}, allowed: "should match"},
	{path: "spec.eventLog.volume.size", accept: values{"1", "1.5Gi", "200Gi", 1000}, refuse: values{"100GB", "much"}, allowed: "should match"},
	{path: "spec.quota.cpu", accept: values{"1", "500m", 8}, refuse: values{"8 cores"}, allowed: "should match"},
	{path: "spec.quota.memory", accept: values{"1", "1.5Gi"}, refuse: values{"100GB"}, allowed: "should match"},
	{path: "spec.quota.storage", accept: values{"1", "1.5Ti"}, refuse: values{"100GB"}, allowed: "should match"},
}

// each is one line of the table for several fields.
func each(paths []string, f field) []field {
	list := make([]field, 0, len(paths))
	for _, path := range paths {
		f.path = path
		list = append(list, f)
	}
	return list
}

func concat(lists ...[]field) []field {
	var all []field
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

var _ = Describe("A field", func() {
	It("has the values of the manifest with every field", func() {
		Expect(create(pipeline("everything.yaml"))).To(Succeed())
	})
	for _, f := range fields {
		for _, value := range f.accept {
			It(fmt.Sprintf("%s accepts %s", f.path, found(value)), func() {
				object := pipeline("everything.yaml", f.with)
				set(object.Object, f.path, value)
				Expect(create(object)).To(Succeed())
			})
		}
		for _, value := range f.refuse {
			It(fmt.Sprintf("%s refuses %s", f.path, found(value)), func() {
				object := pipeline("everything.yaml", f.with)
				set(object.Object, f.path, value)
				Expect(create(object)).To(MatchError(And(
					ContainSubstring(f.path),
					ContainSubstring(found(value)),
					ContainSubstring(f.allowed),
				)))
			})
		}
	}
})

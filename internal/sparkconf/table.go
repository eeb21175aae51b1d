// SPDX-License-Identifier: Apache-2.0

package sparkconf

// Group is a set of settings that are refused for the same reason.
type Group struct {
	// Instead says what to do, as the end of a sentence that named the setting.
	Instead string
	// Settings that the group refuses. One `*` stands for any characters.
	Settings []string
}

// Name is what the name of a setting must match. Spark ignores others, and a
// name with an equals sign would become another setting on spark-submit's command
// line.
const Name = `^spark\.[A-Za-z0-9_.*-]+$`

// Kubernetes is the part of Spark's settings that is closed by default: it says
// what pods look like and whose rights they have, and it grows with each version.
const Kubernetes = "spark.kubernetes."

// OpenKubernetes are the settings below Kubernetes that may be set: they change
// the pace of the driver's own work and nothing in a pod.
var OpenKubernetes = []string{
	"spark.kubernetes.allocation.batch.*",
	"spark.kubernetes.allocation.executor.timeout",
	"spark.kubernetes.allocation.maxPendingPods",
	"spark.kubernetes.allocation.maxPendingPodsPerRp",
	"spark.kubernetes.allocation.maximum",
	"spark.kubernetes.decommission.script",
	"spark.kubernetes.driver.connectionTimeout",
	"spark.kubernetes.driver.requestTimeout",
	"spark.kubernetes.executor.apiPollingInterval",
	"spark.kubernetes.executor.checkAllContainers",
	"spark.kubernetes.executor.enableApiPolling",
	"spark.kubernetes.executor.enableApiWatcher",
	"spark.kubernetes.executor.eventProcessingInterval",
	"spark.kubernetes.executor.minTasksPerExecutorBeforeRolling",
	"spark.kubernetes.executor.missingPodDetectDelta",
	"spark.kubernetes.executor.rollInterval",
	"spark.kubernetes.executor.rollPolicy",
	"spark.kubernetes.jars.avoidDownloadSchemes",
	"spark.kubernetes.local.dirs.tmpfs",
}

// Owned are the settings that the operator owns.
var Owned = []Group{
	{"use spec.driver.cores, coreRequest, memory or memoryOverhead instead", []string{
		"spark.driver.cores",
		"spark.driver.memory",
		"spark.driver.memoryOverhead",
		"spark.driver.memoryOverheadFactor",
		"spark.driver.minMemoryOverhead",
		"spark.kubernetes.driver.limit.cores",
		"spark.kubernetes.driver.request.cores",
		"spark.kubernetes.memoryOverheadFactor",
	}},
	{"use spec.executor.cores, coreRequest, memory or memoryOverhead instead", []string{
		"spark.executor.cores",
		"spark.executor.memory",
		"spark.executor.memoryOverhead",
		"spark.executor.memoryOverheadFactor",
		"spark.executor.minMemoryOverhead",
		"spark.kubernetes.executor.limit.cores",
		"spark.kubernetes.executor.request.cores",
	}},
	{"use spec.executor.instances instead", []string{
		"spark.executor.instances",
	}},
	{"use spec.scaling instead", []string{
		"spark.dynamicAllocation.*",
		"spark.kubernetes.allocation.pods.allocator",
		"spark.kubernetes.dynamicAllocation.*",
		"spark.streaming.dynamicAllocation.*",
	}},
	{"use spec.driver.podTemplate or spec.executor.podTemplate instead", []string{
		"spark.kubernetes.driver.annotation.*",
		"spark.kubernetes.driver.label.*",
		"spark.kubernetes.driver.podTemplateContainerName",
		"spark.kubernetes.driver.podTemplateFile",
		"spark.kubernetes.driver.secrets.*",
		"spark.kubernetes.driver.volumes.*",
		"spark.kubernetes.executor.annotation.*",
		"spark.kubernetes.executor.label.*",
		"spark.kubernetes.executor.podTemplateContainerName",
		"spark.kubernetes.executor.podTemplateFile",
		"spark.kubernetes.executor.scheduler.name",
		"spark.kubernetes.executor.secrets.*",
		"spark.kubernetes.executor.volumes.*",
		"spark.kubernetes.driver.scheduler.name",
		"spark.kubernetes.scheduler.name",
	}},
	{"use spec.driver.scheduling, spec.executor.scheduling or a podTemplate instead", []string{
		"spark.kubernetes.driver.node.selector.*",
		"spark.kubernetes.executor.node.selector.*",
		"spark.kubernetes.node.selector.*",
	}},
	{"use spec.application.env instead", []string{
		"spark.executorEnv.*",
		"spark.kubernetes.driver.secretKeyRef.*",
		"spark.kubernetes.driverEnv.*",
		"spark.kubernetes.executor.secretKeyRef.*",
	}},
	{"use spec.image and spec.imagePullSecrets instead", []string{
		"spark.kubernetes.container.*",
		"spark.kubernetes.driver.container.*",
		"spark.kubernetes.executor.container.*",
	}},
	{"use spec.application.dependencies instead", []string{
		"spark.archives",
		"spark.files",
		"spark.jars",
		"spark.jars.ivy",
		"spark.jars.ivySettings",
		"spark.jars.packages",
		"spark.kubernetes.file.upload.path",
		"spark.submit.pyFiles",
	}},
	{"use spec.namespace instead", []string{
		"spark.kubernetes.namespace",
	}},
	{"the operator makes the service accounts and their credentials; spec.objectStore.credentials ties them to an identity of the cloud", []string{
		"spark.kerberos.*",
		"spark.kubernetes.authenticate.*",
		"spark.kubernetes.driver.serviceAccountName",
		"spark.kubernetes.executor.serviceAccountName",
		"spark.kubernetes.hadoop.configMapName",
		"spark.kubernetes.kerberos.*",
	}},
	{"the operator names and submits the application, after metadata.name", []string{
		"spark.app.attempt.id",
		"spark.app.id",
		"spark.app.name",
		"spark.kubernetes.context",
		"spark.kubernetes.driver.master",
		"spark.kubernetes.driver.pod.*",
		"spark.kubernetes.driver.resourceNamePrefix",
		"spark.kubernetes.executor.pod.*",
		"spark.kubernetes.executor.podNamePrefix",
		"spark.kubernetes.resource.type",
		"spark.kubernetes.submission.*",
		"spark.kubernetes.submitInDriver",
		"spark.local.connect",
		"spark.master",
		"spark.remote",
		"spark.submit.callSystemExitOnMainExit",
		"spark.submit.deployMode",
		"spark.yarn.*",
	}},
	{"the operator sets the addresses and ports, which its probes, monitors and network policies rest on", []string{
		"spark.blockManager.port",
		"spark.driver.bindAddress",
		"spark.driver.blockManager.port",
		"spark.driver.host",
		"spark.driver.port",
		"spark.kubernetes.allocation.driver.readinessTimeout",
		"spark.kubernetes.driver.service.*",
		"spark.kubernetes.executor.useDriverPodIP",
		"spark.port.maxRetries",
		"spark.ui.enabled",
		"spark.ui.port",
		"spark.ui.proxyBase",
		"spark.ui.reverseProxy",
		"spark.ui.reverseProxyUrl",
	}},
	{"the operator sets how executors end, so that one failure costs one executor", []string{
		"spark.kubernetes.executor.deleteOnTermination",
		"spark.kubernetes.executor.terminationGracePeriodSeconds",
	}},
	{"the operator sets what its alerts and dashboards read; see spec.monitoring", []string{
		"spark.metrics.appStatusSource.enabled",
		"spark.metrics.conf",
		"spark.metrics.conf.*",
		"spark.metrics.namespace",
		"spark.sql.streaming.metricsEnabled",
		"spark.ui.prometheus.enabled",
	}},
	{"use spec.eventLog and spec.historyServer instead", []string{
		"spark.eventLog.*",
		"spark.history.*",
	}},
	{"use spec.checkpoint instead", []string{
		"spark.sql.streaming.checkpointLocation",
	}},
	{"the paths of a checkpoint on a volume rest on it; write other addresses out, such as s3a://bucket/path", []string{
		"spark.hadoop.fs.default.name",
		"spark.hadoop.fs.defaultFS",
	}},
	{"use spec.security.encryption instead", []string{
		"spark.authenticate",
		"spark.authenticate.*",
		"spark.network.crypto.*",
		"spark.ssl.*",
	}},
	{"use spec.objectStore.endpoint, region, pathStyle or encryption instead", []string{
		"spark.hadoop.fs.s3a.connection.ssl.enabled",
		"spark.hadoop.fs.s3a.encryption.*",
		"spark.hadoop.fs.s3a.endpoint",
		"spark.hadoop.fs.s3a.endpoint.*",
		"spark.hadoop.fs.s3a.path.style.access",
		"spark.hadoop.fs.s3a.server-side-encryption-algorithm",
		"spark.hadoop.fs.s3a.server-side-encryption.*",
	}},
	{"use spec.objectStore.credentials instead, or spec.application.env for another store; a setting is readable by everybody who reads the SparkPipeline", []string{
		"spark.hadoop.fs.s3a.access.key",
		"spark.hadoop.fs.s3a.assumed.role.*",
		"spark.hadoop.fs.s3a.aws.credentials.provider",
		"spark.hadoop.fs.s3a.aws.credentials.provider.*",
		"spark.hadoop.fs.s3a.bucket.*.access.key",
		"spark.hadoop.fs.s3a.bucket.*.secret.key",
		"spark.hadoop.fs.s3a.bucket.*.session.token",
		"spark.hadoop.fs.s3a.secret.key",
		"spark.hadoop.fs.s3a.security.credential.provider.path",
		"spark.hadoop.fs.s3a.session.token",
		"spark.hadoop.hadoop.security.credential.provider.path",
	}},
}

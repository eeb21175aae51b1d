// SPDX-License-Identifier: Apache-2.0

package sparkconf

import (
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for setting, want := range map[string]string{
		"spark.executor.instances":                           "use spec.executor.instances",
		"spark.dynamicAllocation.enabled":                    "use spec.scaling",
		"spark.kubernetes.allocation.pods.allocator":         "use spec.scaling",
		"spark.driver.memory":                                "use spec.driver.",
		"spark.executor.memoryOverhead":                      "use spec.executor.",
		"spark.kubernetes.driver.podTemplateFile":            "use spec.driver.podTemplate",
		"spark.kubernetes.driver.pod.name":                   "the operator names",
		"spark.kubernetes.namespace":                         "use spec.namespace",
		"spark.kubernetes.authenticate.driver.oauthToken":    "the operator makes the service accounts",
		"spark.kubernetes.driver.container.image":            "use spec.image",
		"spark.master":                                       "the operator names and submits",
		"spark.submit.deployMode":                            "the operator names and submits",
		"spark.files":                                        "use spec.application.dependencies",
		"spark.jars.ivy":                                     "use spec.application.dependencies",
		"spark.yarn.keytab":                                  "the operator names and submits",
		"spark.kerberos.keytab":                              "the operator makes the service accounts",
		"spark.ui.port":                                      "the operator sets the addresses and ports",
		"spark.blockManager.port":                            "the operator sets the addresses and ports",
		"spark.metrics.conf.*.sink.csv.class":                "see spec.monitoring",
		"spark.metrics.conf.driver.sink.csv.class":           "see spec.monitoring",
		"spark.metrics.namespace":                            "see spec.monitoring",
		"spark.eventLog.dir":                                 "use spec.eventLog",
		"spark.sql.streaming.checkpointLocation":             "use spec.checkpoint",
		"spark.hadoop.fs.defaultFS":                          "the paths of a checkpoint",
		"spark.ssl.rpc.enabled":                              "use spec.security.encryption",
		"spark.authenticate":                                 "use spec.security.encryption",
		"spark.authenticate.secret":                          "use spec.security.encryption",
		"spark.network.crypto.enabled":                       "use spec.security.encryption",
		"spark.kubernetes.driver.volumes.hostPath.x.mount":   "podTemplate",
		"spark.kubernetes.executor.secretKeyRef.X":           "use spec.application.env",
		"spark.executorEnv.X":                                "use spec.application.env",
		"spark.hadoop.fs.s3a.endpoint":                       "use spec.objectStore.endpoint",
		"spark.hadoop.fs.s3a.endpoint.region":                "use spec.objectStore.endpoint",
		"spark.hadoop.fs.s3a.server-side-encryption.key":     "use spec.objectStore.endpoint",
		"spark.hadoop.fs.s3a.secret.key":                     "use spec.objectStore.credentials",
		"spark.hadoop.fs.s3a.bucket.my-bucket.v2.secret.key": "use spec.objectStore.credentials",
		"spark.kubernetes.executor.hostNetwork":              "use a podTemplate instead; below spark.kubernetes. these are allowed",
		"spark.kubernetes.allocation.pods.x":                 "use a podTemplate instead; below spark.kubernetes. these are allowed",
		"spark.master=k8s://elsewhere,spark.x":               "a name starts with spark.",
		"fs.s3a.endpoint":                                    "a name starts with spark.",
		"spark.":                                             "a name starts with spark.",
		"spark.x y":                                          "a name starts with spark.",
		"spark.x\nspark.master":                              "a name starts with spark.",
		"spark.x\n":                                          "a name starts with spark.",
	} {
		instead, refused := Refused(setting)
		if !refused || !strings.Contains(instead, want) {
			t.Errorf("%q: refused is %t with %q, want true with %q", setting, refused, instead, want)
		}
	}
}

func TestNotRefused(t *testing.T) {
	for _, setting := range []string{
		"spark.sql.shuffle.partitions",
		"spark.sql.streaming.stateStore.providerClass",
		"spark.driver.extraJavaOptions",
		"spark.executor.extraJavaOptions",
		"spark.executor.resource.gpu.amount",
		"spark.memory.offHeap.size",
		"spark.masterful",
		"spark.authenticated",
		"spark.executor.instancesX",
		"spark.jars.repositories",
		"spark.kubernetes.allocation.batch.size",
		"spark.kubernetes.local.dirs.tmpfs",
		"spark.hadoop.fs.s3a.connection.maximum",
		"spark.hadoop.fs.s3a.bucket.other.endpoint",
		"spark.sql.catalog.my_catalog-2.uri",
	} {
		if instead, refused := Refused(setting); refused {
			t.Errorf("%q is refused: %s", setting, instead)
		}
	}
}

func TestTableIsWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range Owned {
		for _, pattern := range g.Settings {
			if seen[pattern] {
				t.Errorf("%s is there twice", pattern)
			}
			seen[pattern] = true
			if strings.Count(pattern, "*") > 1 {
				t.Errorf("%s has more than one *", pattern)
			}
			if !strings.HasPrefix(pattern, "spark.") {
				t.Errorf("%s is no setting of Spark", pattern)
			}
		}
		if strings.ContainsAny(g.Instead, "`%\n") {
			t.Errorf("%q holds what a marker or a format cannot", g.Instead)
		}
	}
	for _, pattern := range OpenKubernetes {
		if !strings.HasPrefix(pattern, Kubernetes) {
			t.Errorf("%s is not below %s", pattern, Kubernetes)
		}
		if instead, refused := Refused(strings.ReplaceAll(pattern, "*", "x")); refused {
			t.Errorf("%s is open and refused: %s", pattern, instead)
		}
	}
}

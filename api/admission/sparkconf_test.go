// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sparkpipeline.dev/operator/internal/sparkconf"
)

// settings are examples of spec.application.sparkConf, and of what the refusal
// says to do instead.
var settings = []struct{ name, instead string }{
	{"spark.executor.instances", "use spec.executor.instances instead"},
	{"spark.dynamicAllocation.enabled", "use spec.scaling instead"},
	{"spark.driver.memory", "use spec.driver.cores, coreRequest, memory or memoryOverhead instead"},
	{"spark.executor.memory", "use spec.executor.cores, coreRequest, memory or memoryOverhead instead"},
	{"spark.kubernetes.driver.podTemplateFile", "use spec.driver.podTemplate or spec.executor.podTemplate instead"},
	{"spark.kubernetes.executor.node.selector.disk", "use spec.driver.scheduling, spec.executor.scheduling or a podTemplate instead"},
	{"spark.executorEnv.LEVEL", "use spec.application.env instead"},
	{"spark.kubernetes.container.image", "use spec.image and spec.imagePullSecrets instead"},
	{"spark.files", "use spec.application.dependencies instead"},
	{"spark.kubernetes.namespace", "use spec.namespace instead"},
	{"spark.kubernetes.authenticate.driver.serviceAccountName", "the operator makes the service accounts and their credentials"},
	{"spark.master", "the operator names and submits the application"},
	{"spark.ui.port", "the operator sets the addresses and ports"},
	{"spark.kubernetes.executor.deleteOnTermination", "the operator sets how executors end"},
	{"spark.metrics.conf.*.sink.csv.class", "see spec.monitoring"},
	{"spark.eventLog.dir", "use spec.eventLog and spec.historyServer instead"},
	{"spark.sql.streaming.checkpointLocation", "use spec.checkpoint instead"},
	{"spark.hadoop.fs.defaultFS", "write other addresses out, such as s3a://bucket/path"},
	{"spark.ssl.rpc.enabled", "use spec.security.encryption instead"},
	{"spark.hadoop.fs.s3a.endpoint", "use spec.objectStore.endpoint, region, pathStyle or encryption instead"},
	{"spark.hadoop.fs.s3a.secret.key", "use spec.objectStore.credentials instead"},
	{"spark.kubernetes.executor.hostNetwork", "use a podTemplate instead; below spark.kubernetes. these are allowed: spark.kubernetes.allocation.batch.*"},
	{"spark.x=1,spark.master", "a name starts with spark. and holds letters, digits, dots"},
	{"fs.s3a.endpoint", "a name starts with spark. and holds letters, digits, dots"},
}

// withSettings is a pipeline with settings of Spark, each of the same value.
func withSettings(names ...string) *unstructured.Unstructured {
	GinkgoHelper()
	object := pipeline("minimal.yaml")
	conf := map[string]any{}
	for _, name := range names {
		conf[name] = "s3cr3t"
	}
	Expect(unstructured.SetNestedMap(object.Object, conf, "spec", "application", "sparkConf")).To(Succeed())
	return object
}

var _ = Describe("Settings of Spark", func() {
	for _, s := range settings {
		It("refuse "+s.name, func() {
			err := create(withSettings("spark.sql.shuffle.partitions", s.name))
			Expect(err).To(MatchError(And(
				ContainSubstring(`spec.application.sparkConf holds "`+s.name+`"`),
				ContainSubstring(s.instead),
				Not(ContainSubstring("s3cr3t")),
			)))
		})
	}

	It("refuse every setting of the table, with its advice", func() {
		for _, g := range sparkconf.Owned {
			for _, pattern := range g.Settings {
				name := strings.ReplaceAll(pattern, "*", "x.y")
				Expect(create(withSettings(name))).To(MatchError(ContainSubstring(`spec.application.sparkConf holds "`+name+`"; `+g.Instead)), name)
			}
		}
	})

	It("accept every open setting of Kubernetes", func() {
		var names []string
		for _, pattern := range sparkconf.OpenKubernetes {
			names = append(names, strings.ReplaceAll(pattern, "*", "x"))
		}
		Expect(create(withSettings(names...))).To(Succeed())
	})

	It("accept those of nobody's concern, up to 128", func() {
		names := []string{"spark.sql.shuffle.partitions", "spark.driver.extraJavaOptions", "spark.masterful", "spark.authenticated", "spark.hadoop.fs.s3a.bucket.other.endpoint"}
		for len(names) < 128 {
			names = append(names, "spark.app.setting."+strings.Repeat("a", len(names)))
		}
		Expect(create(withSettings(names...))).To(Succeed())
		Expect(create(withSettings(append(names, "spark.one.more")...))).To(MatchError(ContainSubstring("spec.application.sparkConf: Too many: 129: must have at most 128 items")))
	})

	It("name the first of several refused settings, always the same", func() {
		object := withSettings("spark.ssl.b", "spark.ssl.a", "spark.network.crypto.c", "spark.authenticate", "spark.sql.a")
		for range 10 {
			Expect(create(object)).To(MatchError(ContainSubstring(`spec.application.sparkConf holds "spark.authenticate"`)))
		}
	})
})

// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rule is what fields may hold together, on top of minimal.yaml. With from, it is
// about the change of a stored pipeline.
type rule struct {
	name           string
	from           string
	accept, refuse string
	// want are parts of the refusal: the field, the value found, what is allowed.
	want []string
}

var rules = []rule{
	{
		name:   "a name of more than 40 characters",
		accept: "metadata: {name: " + strings.Repeat("a", 40) + "}",
		refuse: "metadata: {name: " + strings.Repeat("a", 41) + "}",
		want:   []string{"metadata.name", strings.Repeat("a", 41), "41 characters", "at most 40 are allowed"},
	},
	{
		name:   "a name that starts with a digit",
		accept: "metadata: {name: o1}",
		refuse: "metadata: {name: 1o}",
		want:   []string{"metadata.name", `"1o"`, "must start with a letter", "lower case letters, digits and hyphens are allowed"},
	},
	{
		name:   "a name with a dot",
		accept: "metadata: {name: orders-v2}",
		refuse: "metadata: {name: orders.v2}",
		want:   []string{"metadata.name", `"orders.v2"`, "lower case letters, digits and hyphens are allowed"},
	},
	{
		name:   "a Scala application without a class",
		accept: "spec: {application: {type: Python, mainClass: null}}",
		refuse: "spec: {application: {type: Scala, mainClass: null}}",
		want:   []string{"spec.application.mainClass", "absent and type is Scala", "need the name of the class"},
	},
	{
		name:   "a Java application without a class",
		accept: "spec: {application: {type: Java}}",
		refuse: "spec: {application: {type: Java, mainClass: null}}",
		want:   []string{"spec.application.mainClass", "absent and type is Java", "need the name of the class"},
	},
	{
		name:   "an environment name that is Spark's own",
		accept: "spec: {application: {env: [{name: LEVEL, value: info}]}}",
		refuse: "spec: {application: {env: [{name: LEVEL, value: info}, {name: _SPARK_AUTH_SECRET, value: x}]}}",
		want:   []string{"spec.application.env", `"_SPARK_AUTH_SECRET"`, "a name is allowed that is not empty and does not start with _SPARK_"},
	},
	{
		name:   "an empty environment name",
		accept: "spec: {application: {env: [{name: A}]}}",
		refuse: `spec: {application: {env: [{name: ""}]}}`,
		want:   []string{"spec.application.env", `""`, "a name is allowed that is not empty"},
	},
	{
		name:   "an environment name twice",
		accept: "spec: {application: {env: [{name: A}, {name: B}]}}",
		refuse: "spec: {application: {env: [{name: A, value: x}, {name: A, value: y}]}}",
		want:   []string{"spec.application.env[1]", "Duplicate value", `{"name":"A"}`},
	},
	{
		name:   "an empty pull secret",
		accept: "spec: {imagePullSecrets: [{name: registry}]}",
		refuse: `spec: {imagePullSecrets: [{name: ""}]}`,
		want:   []string{"spec.imagePullSecrets", "empty name", "the name of a Secret is allowed"},
	},
	{
		name:   "a driver with too small a heap",
		accept: "spec: {driver: {memory: 512m}}",
		refuse: "spec: {driver: {memory: 511m}}",
		want:   []string{"spec.driver.memory", "511m", "512m or more is allowed"},
	},
	{
		name:   "an executor with too small a heap",
		accept: "spec: {executor: {memory: 1g}}",
		refuse: "spec: {executor: {memory: 64M}}",
		want:   []string{"spec.executor.memory", "64M", "512m or more is allowed"},
	},
	{
		name:   "a restart interval that rounds to nothing",
		accept: "spec: {restart: {interval: 1s}}",
		refuse: "spec: {restart: {interval: 999ms}}",
		want:   []string{"spec.restart.interval", "999ms", "1s or more is allowed"},
	},
	{
		name:   "a scrape interval that rounds to nothing",
		accept: "spec: {monitoring: {scrapeInterval: 1s}}",
		refuse: "spec: {monitoring: {scrapeInterval: 10ms}}",
		want:   []string{"spec.monitoring.scrapeInterval", "10ms", "1s or more is allowed"},
	},
	{
		name:   "more executors at least than at most",
		accept: "spec: {scaling: {minExecutors: 20, maxExecutors: 20}}",
		refuse: "spec: {scaling: {minExecutors: 21, maxExecutors: 20}}",
		want:   []string{"spec.scaling.minExecutors", "21", "spec.scaling.maxExecutors 20", "1 <= minExecutors <= maxExecutors <= 1000 is allowed"},
	},
	{
		name:   "more executors at least than the default at most",
		accept: "spec: {scaling: {minExecutors: 20}}",
		refuse: "spec: {scaling: {minExecutors: 30}}",
		want:   []string{"spec.scaling.minExecutors", "30", "spec.scaling.maxExecutors 20", "1 <= minExecutors <= maxExecutors <= 1000 is allowed"},
	},
	{
		name:   "a schedule with more executors at least than at most",
		accept: `spec: {scaling: {schedules: [{start: "0 1 * * *", end: "0 2 * * *", minExecutors: 2, maxExecutors: 2}]}}`,
		refuse: `spec: {scaling: {schedules: [{start: "0 1 * * *", end: "0 2 * * *", minExecutors: 3, maxExecutors: 2}]}}`,
		want:   []string{"spec.scaling.schedules[0].minExecutors", "is 3", "maxExecutors 2", "1 <= minExecutors <= maxExecutors <= 1000 is allowed"},
	},
	{
		name:   "scaling on nothing",
		accept: "spec: {scaling: {cpuUtilization: 0, inputRate: {}}}",
		refuse: "spec: {scaling: {cpuUtilization: 0}}",
		want:   []string{"spec.scaling.cpuUtilization", "cpuUtilization 0", "set cpuUtilization, memoryUtilization, inputRate or kafkaLag, or state Disabled"},
	},
	{
		name:   "scaling on lag without a source",
		accept: `spec: {scaling: {kafkaLag: {perExecutor: 7}}, sources: {kafka: {bootstrapServers: "kafka:9092"}}}`,
		refuse: "spec: {scaling: {kafkaLag: {perExecutor: 7}}}",
		want:   []string{"spec.scaling.kafkaLag", "perExecutor is 7", "spec.sources.kafka is absent", "lag is allowed with sources.kafka"},
	},
	{
		name:   "a broker's port that there is not",
		accept: `spec: {sources: {kafka: {bootstrapServers: "a:65535,b:1"}}}`,
		refuse: `spec: {sources: {kafka: {bootstrapServers: "a:9092,b:65536"}}}`,
		want:   []string{"spec.sources.kafka.bootstrapServers", "b:65536", "ports from 1 to 65535 are allowed"},
	},
	{
		name:   "a store's port that there is not",
		accept: `spec: {objectStore: {endpoint: "http://minio:9000"}}`,
		refuse: `spec: {objectStore: {endpoint: "http://minio:0"}}`,
		want:   []string{"spec.objectStore.endpoint", "http://minio:0", "ports from 1 to 65535 are allowed"},
	},
	{
		name:   "as many executors kept as there are at least",
		accept: "spec: {disruption: {executorMinAvailable: 2}}",
		refuse: "spec: {disruption: {executorMinAvailable: 3}}",
		want:   []string{"spec.disruption.executorMinAvailable", "is 3", "less than 3 is allowed", "the least of spec.scaling.minExecutors and its schedules"},
	},
	{
		name:   "as many executors kept as a schedule leaves",
		accept: `spec: {disruption: {executorMinAvailable: 1}, scaling: {schedules: [{start: "0 1 * * *", end: "0 2 * * *", minExecutors: 2, maxExecutors: 2}]}}`,
		refuse: `spec: {disruption: {executorMinAvailable: 2}, scaling: {schedules: [{start: "0 1 * * *", end: "0 2 * * *", minExecutors: 2, maxExecutors: 2}]}}`,
		want:   []string{"spec.disruption.executorMinAvailable", "is 2", "less than 2 is allowed"},
	},
	{
		name:   "as many executors kept as there are without scaling",
		accept: "spec: {disruption: {executorMinAvailable: 6}, scaling: {state: Disabled}, executor: {instances: 7}}",
		refuse: "spec: {disruption: {executorMinAvailable: 7}, scaling: {state: Disabled}, executor: {instances: 7}}",
		want:   []string{"spec.disruption.executorMinAvailable", "is 7", "less than 7 is allowed, which is spec.executor.instances"},
	},
	{
		name:   "TLS with Spark 3.5",
		accept: "spec: {security: {encryption: TLS}, sparkVersion: 4.0.0}",
		refuse: "spec: {security: {encryption: TLS}, sparkVersion: 3.5.7}",
		want:   []string{"spec.security.encryption", "TLS", "3.5.7", "TLS is allowed with Spark 4.0 or later", "Auto, AES or Disabled with this one"},
	},
	{
		name:   "the backups as their own replica",
		accept: "spec: {recovery: {replica: {bucket: acme-replica, region: us-east-1}}}",
		refuse: "spec: {recovery: {replica: {bucket: acme-backups, region: us-east-1}}}",
		want:   []string{"spec.recovery.replica.bucket", `"acme-backups"`, "another bucket is allowed"},
	},
	{
		name:   "a key without encryption by keys",
		accept: "spec: {objectStore: {encryption: {mode: SSE-KMS, kmsKeyID: alias/a}}}",
		refuse: "spec: {objectStore: {encryption: {mode: SSE-S3, kmsKeyID: alias/a}}}",
		want:   []string{"spec.objectStore.encryption.kmsKeyID", `"alias/a"`, `mode is "SSE-S3"`, "a key is allowed with mode SSE-KMS"},
	},
	{
		name:   "two kinds of credentials",
		accept: "spec: {objectStore: {credentials: {secretName: orders-s3}}}",
		refuse: "spec: {objectStore: {credentials: {secretName: orders-s3, workloadIdentity: {annotations: {eks.amazonaws.com/role-arn: a}}}}}",
		want:   []string{"spec.objectStore.credentials.secretName", `"orders-s3"`, "one of them is allowed"},
	},
	{
		name:   "an identity by an annotation of Kubernetes",
		accept: "spec: {objectStore: {credentials: {workloadIdentity: {annotations: {iam.gke.io/gcp-service-account: a, azure.workload.identity/client-id: b}}}}}",
		refuse: `spec: {objectStore: {credentials: {workloadIdentity: {annotations: {eks.amazonaws.com/role-arn: a, kubernetes.io/x: "", z.k8s.io/y: ""}}}}}`,
		want:   []string{"workloadIdentity.annotations", `holds "kubernetes.io/x"`, "an annotation of a cloud is allowed, such as eks.amazonaws.com/role-arn"},
	},
	{
		name:   "an identity by an annotation that is none",
		accept: "spec: {objectStore: {credentials: {workloadIdentity: {annotations: {eks.amazonaws.com/role-arn: a}}}}}",
		refuse: "spec: {objectStore: {credentials: {workloadIdentity: {annotations: {role arn: a}}}}}",
		want:   []string{"workloadIdentity.annotations", `holds "role arn"`, "an annotation of a cloud is allowed"},
	},
	{
		name:   "a label of the operator's",
		accept: "spec: {monitoring: {labels: {release: prometheus, example.com/team: data}}}",
		refuse: "spec: {monitoring: {labels: {release: prometheus, sparkpipeline.dev/pipeline: other}}}",
		want:   []string{"spec.monitoring.labels", `holds "sparkpipeline.dev/pipeline"`, "is allowed that neither the operator nor a GitOps tool owns"},
	},
	{
		name:   "a label that GitOps tools track by",
		accept: "spec: {monitoring: {labels: {app: orders}}}",
		refuse: "spec: {monitoring: {labels: {app.kubernetes.io/instance: other}}}",
		want:   []string{"spec.monitoring.labels", `holds "app.kubernetes.io/instance"`, "is allowed that neither the operator nor a GitOps tool owns"},
	},
	{
		name:   "a volume and a location",
		accept: "spec: {checkpoint: {location: s3a://acme-checkpoints/orders}}",
		refuse: "spec: {checkpoint: {location: s3a://acme-checkpoints/orders, volume: {}}}",
		want:   []string{"spec.checkpoint.location", `"s3a://acme-checkpoints/orders"`, "one of them is allowed"},
	},
	{
		name:   "a mount over the event logs",
		accept: "spec: {checkpoint: {mountPath: /mnt/spark-events-2}}",
		refuse: "spec: {checkpoint: {mountPath: /mnt/spark-events}}",
		want:   []string{"spec.checkpoint.mountPath", "is /mnt/spark-events", "a directory of its own is allowed"},
	},
	{
		name:   "a mount above the event logs",
		accept: "spec: {checkpoint: {mountPath: /mnt2}}",
		refuse: "spec: {checkpoint: {mountPath: /mnt}}",
		want:   []string{"spec.checkpoint.mountPath", "is /mnt", "overlaps /mnt/spark-events", "a directory of its own is allowed"},
	},
	{
		name:   "a mount in a directory of the system",
		accept: "spec: {checkpoint: {mountPath: /var/lib/checkpoints}}",
		refuse: "spec: {checkpoint: {mountPath: /etc/checkpoints}}",
		want:   []string{"spec.checkpoint.mountPath", "is /etc/checkpoints", "overlaps /etc", "a directory of its own is allowed"},
	},
	{
		name:   "a query inside another",
		accept: "spec: {checkpoint: {queries: [{name: a, path: orders/x}, {name: b, path: orders/xy}, {name: c}]}}",
		refuse: "spec: {checkpoint: {queries: [{name: a, path: orders/x}, {name: orders}]}}",
		want:   []string{"spec.checkpoint.queries", "the path of a is orders/x", "inside that of orders", "paths that do not overlap are allowed"},
	},
	{
		name:   "a query at the path of another",
		accept: "spec: {checkpoint: {queries: [{name: a, path: b}, {name: b, path: a}]}}",
		refuse: "spec: {checkpoint: {queries: [{name: a, path: x}, {name: b, path: x}]}}",
		want:   []string{"spec.checkpoint.queries", "the path of a is x", "equal to", "that of b", "paths that do not overlap are allowed"},
	},
	{
		name:   "a query twice",
		accept: "spec: {checkpoint: {queries: [{name: a}, {name: b}]}}",
		refuse: "spec: {checkpoint: {queries: [{name: a}, {name: a}]}}",
		want:   []string{"spec.checkpoint.queries[1]", "Duplicate value", `{"name":"a"}`},
	},
	{
		name:   "a checkpoint of no size",
		accept: "spec: {checkpoint: {volume: {size: 1Gi}}}",
		refuse: `spec: {checkpoint: {volume: {size: "0"}}}`,
		want:   []string{"spec.checkpoint.volume.size", "is 0", "more than 0 is allowed"},
	},
	{
		name:   "event logs of no size",
		accept: "spec: {eventLog: {volume: {size: 1Gi}}}",
		refuse: "spec: {eventLog: {volume: {size: -1Gi}}}",
		want:   []string{"spec.eventLog.volume.size", "is -1Gi", "more than 0 is allowed"},
	},
	{
		name:   "a quota of no CPU",
		accept: "spec: {quota: {cpu: 1}}",
		refuse: "spec: {quota: {cpu: 0}}",
		want:   []string{"spec.quota.cpu", "is 0", "more than 0 is allowed"},
	},
	{
		name:   "a quota of no memory",
		accept: "spec: {quota: {memory: 1Gi}}",
		refuse: "spec: {quota: {memory: 0Gi}}",
		want:   []string{"spec.quota.memory", "is 0Gi", "more than 0 is allowed"},
	},
	{
		name:   "a quota of no storage",
		accept: "spec: {quota: {storage: 1Gi}}",
		refuse: `spec: {quota: {storage: "-5"}}`,
		want:   []string{"spec.quota.storage", "is -5", "more than 0 is allowed"},
	},
}

var _ = Describe("A rule", func() {
	for _, r := range rules {
		It("refuses "+r.name, func() {
			Expect(create(pipeline("minimal.yaml", r.accept))).To(Succeed(), "the accepted example")
			Expect(create(pipeline("minimal.yaml", r.refuse))).To(MatchError(containsAll(r.want)))
		})
	}
})

var _ = Describe("A change", func() {
	for i, r := range changes {
		It("refuses "+r.name, func() {
			ctx := context.Background()
			name := fmt.Sprintf("metadata: {name: change-%d}", i)
			stored := pipeline("minimal.yaml", r.from, name)
			Expect(server.Create(ctx, stored)).To(Succeed())
			DeferCleanup(func() { Expect(server.Delete(ctx, stored)).To(Succeed()) })
			change := func(patch string) error {
				object := pipeline("minimal.yaml", r.from, patch, name)
				object.SetResourceVersion(stored.GetResourceVersion())
				return server.Update(ctx, object, client.DryRunAll, client.FieldValidation("Strict"))
			}
			Expect(change(r.accept)).To(Succeed(), "the accepted example")
			Expect(change(r.refuse)).To(MatchError(containsAll(r.want)))
		})
	}
})

func containsAll(parts []string) OmegaMatcher {
	matchers := make([]OmegaMatcher, 0, len(parts))
	for _, part := range parts {
		matchers = append(matchers, ContainSubstring(part))
	}
	return And(matchers...)
}

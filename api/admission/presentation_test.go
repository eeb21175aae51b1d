// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// stored creates a pipeline for the time of one spec.
func stored(patches ...string) *unstructured.Unstructured {
	GinkgoHelper()
	object := pipeline("minimal.yaml", patches...)
	Expect(server.Create(context.Background(), object)).To(Succeed())
	DeferCleanup(func() { Expect(server.Delete(context.Background(), object)).To(Succeed()) })
	return object
}

// withStatus writes the status of a stored pipeline.
func withStatus(object *unstructured.Unstructured, status string) {
	GinkgoHelper()
	var content map[string]any
	Expect(yaml.Unmarshal([]byte(status), &content)).To(Succeed())
	data, err := json.Marshal(map[string]any{"status": content})
	Expect(err).NotTo(HaveOccurred())
	Expect(server.Status().Patch(context.Background(), object, client.RawPatch("application/merge-patch+json", data))).To(Succeed())
}

const runningStatus = `
conditions:
- {type: Ready, status: "False", reason: Starting, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}
executors: {ready: 2, wanted: 3, summary: 2/3}
progress: {state: Advancing, summary: Advancing}
application: {restarts: 4}
recoveryStep: Restoring
selector: a=b
`

var _ = Describe("A stored pipeline", func() {
	It("goes by the short name sp and in the category all", func() {
		resources, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerResourcesForGroupVersion("sparkpipeline.dev/v1alpha1")
		Expect(err).NotTo(HaveOccurred())
		names := map[string]metav1.APIResource{}
		for _, r := range resources.APIResources {
			names[r.Name] = r
		}
		Expect(names).To(And(HaveLen(3), HaveKey("sparkpipelines/status"), HaveKey("sparkpipelines/scale")))
		Expect(names["sparkpipelines"].ShortNames).To(Equal([]string{"sp"}))
		Expect(names["sparkpipelines"].Categories).To(Equal([]string{"all"}))
		Expect(names["sparkpipelines"].Namespaced).To(BeTrue())
	})

	It("shows its state in columns", func() {
		withStatus(stored("metadata: {name: columns}"), runningStatus)
		data, err := discovery.NewDiscoveryClientForConfigOrDie(config).RESTClient().Get().
			AbsPath("/apis/sparkpipeline.dev/v1alpha1/namespaces/default/sparkpipelines/columns").
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(context.Background())
		Expect(err).NotTo(HaveOccurred())
		var table metav1.Table
		Expect(json.Unmarshal(data, &table)).To(Succeed())
		var narrow, wide []string
		for _, c := range table.ColumnDefinitions {
			if c.Priority == 0 {
				narrow = append(narrow, c.Name)
			} else {
				wide = append(wide, c.Name)
			}
		}
		Expect(narrow).To(Equal([]string{"Name", "Ready", "Reason", "Executors", "Progress", "Last backup", "Age"}))
		Expect(wide).To(Equal([]string{"Restarts", "Recovery", "Spark"}))
		Expect(table.Rows).To(HaveLen(1))
		cells := table.Rows[0].Cells
		Expect(cells[:6]).To(Equal([]any{"columns", "False", "Starting", "2/3", "Advancing", nil}))
		Expect(cells[7:]).To(HaveExactElements(BeNumerically("==", 4), Equal("Restoring"), Equal("4.1.4")))
	})

	It("is scaled by its executors", func() {
		object := stored("metadata: {name: scaled}", "spec: {scaling: {state: Disabled}}")
		withStatus(object, runningStatus)
		ctx, p, scale := context.Background(), new(v1alpha1.SparkPipeline), new(autoscalingv1.Scale)
		Expect(server.Get(ctx, client.ObjectKeyFromObject(object), p)).To(Succeed())
		Expect(server.SubResource("scale").Get(ctx, p, scale)).To(Succeed())
		Expect(scale.Spec.Replicas).To(BeEquivalentTo(5))
		Expect(scale.Status).To(Equal(autoscalingv1.ScaleStatus{Replicas: 2, Selector: "a=b"}))

		scale.Spec.Replicas = 7
		Expect(server.SubResource("scale").Update(ctx, p, client.WithSubResourceBody(scale))).To(Succeed())
		Expect(server.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
		Expect(p.Spec.Executor.Instances).To(BeEquivalentTo(7))

		scale.Spec.Replicas = 1001
		Expect(server.SubResource("scale").Update(ctx, p, client.WithSubResourceBody(scale))).
			To(MatchError(And(ContainSubstring("spec.executor.instances"), ContainSubstring("1001"), ContainSubstring("less than or equal to 1000"))))
	})

	It("may move between a volume and a bucket, which is for the controller to judge", func() {
		object := stored("metadata: {name: moved}")
		Expect(unstructured.SetNestedField(object.Object, "s3a://acme-checkpoints/orders", "spec", "checkpoint", "location")).To(Succeed())
		Expect(server.Update(context.Background(), object, client.DryRunAll)).To(Succeed())
	})

	It("ignores a status in the manifest", func() {
		object := stored("metadata: {name: claims}", "status: {recoveryStep: Restoring}")
		Expect(object.Object).NotTo(HaveKey("status"))
	})
})

var _ = Describe("kubectl explain", func() {
	It("has a text for every field", func() {
		Expect(undescribed("", definitionSchema())).To(Equal([]string{".metadata"}))
	})
})

// undescribed lists the properties without a description.
func undescribed(path string, s *apiextensionsv1.JSONSchemaProps) []string {
	var list []string
	for name, property := range s.Properties {
		if property.Description == "" {
			list = append(list, path+"."+name)
		}
		list = append(list, undescribed(path+"."+name, &property)...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		list = append(list, undescribed(path+"[]", s.Items.Schema)...)
	}
	return list
}

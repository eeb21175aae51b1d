// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

var serial atomic.Int32

// namespaceFor makes a namespace of the test's own.
func namespaceFor() string {
	name := fmt.Sprintf("test-%03d", serial.Add(1))
	Expect(admin.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	return name
}

// minimal is the smallest pipeline.
func minimal(namespace string) *v1alpha1.SparkPipeline {
	return &v1alpha1.SparkPipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
		Spec: v1alpha1.SparkPipelineSpec{
			Image: "registry.example.com/orders:1.4.2", SparkVersion: "4.1.4",
			Application: v1alpha1.ApplicationSpec{MainClass: "com.example.Orders", MainApplicationFile: "local:///opt/app/orders.jar"},
			ObjectStore: v1alpha1.ObjectStoreSpec{Region: "us-west-2", Buckets: v1alpha1.BucketsSpec{Backups: "acme-backups"}},
		},
	}
}

func condition(p *v1alpha1.SparkPipeline, kind string) func() string {
	return func() string {
		if err := admin.Get(context.Background(), client.ObjectKeyFromObject(p), p); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(p.Status.Conditions, kind)
		if c == nil {
			return "absent"
		}
		return string(c.Status) + "/" + c.Reason
	}
}

// setState plays kubeflow's controller: it sets the state of the application.
func setState(p *v1alpha1.SparkPipeline, state sparkapi.ApplicationState) {
	ctx := context.Background()
	app := &sparkapi.SparkApplication{}
	Eventually(func() error {
		return admin.Get(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name}, app)
	}).Should(Succeed())
	patch := client.MergeFrom(app.DeepCopy())
	app.Status.ApplicationState.State = state
	app.Status.DriverInfo.PodName = p.Name + "-driver"
	app.Status.ExecutionAttempts = 1
	app.Status.LastSubmissionAttemptTime = metav1.Now()
	Expect(admin.Status().Patch(ctx, app, patch)).To(Succeed())
}

// ready makes a pipeline in a namespace of its own and plays its way to Ready.
func ready() *v1alpha1.SparkPipeline {
	p := minimal(namespaceFor())
	Expect(admin.Create(context.Background(), p)).To(Succeed())
	setState(p, sparkapi.StateRunning)
	historyServerRuns(p)
	Eventually(condition(p, "Ready")).Should(Equal("True/Ready"))
	quiet(p)
	return p
}

// historyServerRuns plays the deployment controller.
func historyServerRuns(p *v1alpha1.SparkPipeline) {
	ctx := context.Background()
	d := &appsv1.Deployment{}
	Eventually(func() error {
		return admin.Get(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name + "-history"}, d)
	}).Should(Succeed())
	patch := []byte(`{"status":{"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}}`)
	Expect(admin.Status().Patch(ctx, d, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
}

// quiet waits until the operator sends nothing more for the pipeline, and forgets
// what it has sent.
func quiet(p *v1alpha1.SparkPipeline) {
	Eventually(func(g Gomega) {
		requests.take(p.Namespace)
		g.Consistently(func() []string { return requests.take(p.Namespace) }).WithTimeout(200 * time.Millisecond).Should(BeEmpty())
	}).Should(Succeed())
}

// child answers with the metadata of a child as the API server has it.
func child(c v1alpha1.ChildStatus) *metav1.PartialObjectMetadata {
	mapping, err := admin.RESTMapper().RESTMapping(schema.GroupKind{Group: c.Group, Kind: c.Kind})
	Expect(err).NotTo(HaveOccurred())
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name}}
	o.SetGroupVersionKind(mapping.GroupVersionKind)
	return o
}

// get reads a child and answers with its UID and its labels.
func get(c v1alpha1.ChildStatus) func(Gomega) *metav1.PartialObjectMetadata {
	return func(g Gomega) *metav1.PartialObjectMetadata {
		o := child(c)
		g.Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(o), o)).To(Succeed())
		return o
	}
}

const ownerLabel = "sparkpipeline.dev/pipeline"

var _ = Describe("a SparkPipeline", func() {
	ctx := context.Background()

	It("gets its children and its application, and is Ready when that runs", func() {
		p := minimal(namespaceFor())
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Starting"))
		setState(p, sparkapi.StateRunning)
		Eventually(condition(p, "Ready")).Should(Equal("False/Waiting"))
		historyServerRuns(p)
		Eventually(condition(p, "Ready")).Should(Equal("True/Ready"))
		Expect(p.Status.ObservedGeneration).To(Equal(p.Generation))
		Expect(p.Status.Children).NotTo(BeEmpty())
		for _, c := range p.Status.Children {
			// Nobody plays the watch, and the pipeline does not wait for it.
			Expect(c.Ready).To(Equal(c.Kind != "Deployment" || c.Name != p.Name+"-watch"), "%+v", c)
		}
	})

	It("costs at its creation one write a child, one for the finalizer and one for the status, and reads metadata alone", func() {
		p := minimal(namespaceFor())
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Starting"))
		children := len(p.Status.Children)
		Consistently(func() int { return len(p.Status.Children) }).WithTimeout(time.Second).Should(Equal(children))
		sent := requests.take(p.Namespace)
		applies, gets, others := 0, 0, []string{}
		for _, r := range sent {
			switch {
			case strings.HasPrefix(r, "PATCH") && !strings.Contains(r, "sparkpipelines"):
				applies++
			case strings.HasPrefix(r, "GET") && !strings.HasSuffix(r, "/pods"):
				gets++
			default:
				others = append(others, r)
			}
		}
		By(fmt.Sprintf("children %d, applies %d, reads %d, others %v", children, applies, gets, others))
		Expect(applies).To(Equal(children-1), "all but the Secret, which is posted")
		Expect(gets).To(BeNumerically("<=", children))
		Expect(others).To(ConsistOf(
			HaveSuffix("PATCH /apis/sparkpipeline.dev/v1alpha1/namespaces/"+p.Namespace+"/sparkpipelines/orders"),
			HavePrefix("POST /api/v1/namespaces/"+p.Namespace+"/secrets"),
			HavePrefix("GET /api/v1/namespaces/"+p.Namespace+"/pods"),
			HavePrefix("POST /apis/sparkoperator.k8s.io"),
			HaveSuffix("/sparkpipelines/orders/status"),
		))
	})

	It("costs nothing while nothing happens, whatever others do to their share", func() {
		p := ready()
		app := &sparkapi.SparkApplication{}
		key := client.ObjectKey{Namespace: p.Namespace, Name: p.Name}
		for i := range 5 {
			Expect(admin.Get(ctx, key, app)).To(Succeed())
			patch := client.MergeFrom(app.DeepCopy())
			app.Status.ExecutorState = map[string]sparkapi.ExecutorState{fmt.Sprintf("exec-%d", i): sparkapi.ExecutorRunning}
			Expect(admin.Status().Patch(ctx, app, patch)).To(Succeed())
		}
		for _, c := range p.Status.Children {
			o := child(c)
			patch := []byte(`{"metadata":{"labels":{"somebody":"else"},"annotations":{"some":"note"}}}`)
			Expect(admin.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
		}
		Consistently(func() []string { return requests.take(p.Namespace) }).WithTimeout(2 * time.Second).Should(BeEmpty())
	})

	It("repairs every child that was edited, with one apply, and touches no other", func() {
		p := ready()
		for _, c := range p.Status.Children {
			if c.Kind == "Secret" {
				continue
			}
			By("taking a label from " + c.Kind + " " + c.Name)
			o := child(c)
			patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null,"somebody":"else"}}}`, ownerLabel)
			Expect(admin.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch))).To(Succeed())
			Eventually(get(c)).Should(HaveField("Labels", And(HaveKeyWithValue(ownerLabel, p.Name), HaveKeyWithValue("somebody", "else"))))
			Expect(get(c)(Default).UID).To(Equal(c.UID))
			Eventually(func() []string { return requests.take(p.Namespace, "PATCH", c.Name) }).ShouldNot(BeEmpty())
		}
	})

	It("brings every child back that was deleted, claims apart", func() {
		p := ready()
		for _, c := range p.Status.Children {
			if c.Kind == "Secret" || c.Kind == "PersistentVolumeClaim" {
				continue
			}
			By("deleting " + c.Kind + " " + c.Name)
			Expect(admin.Delete(ctx, child(c), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
			Eventually(get(c)).Should(HaveField("UID", Not(Equal(c.UID))))
			if c.Kind == "Deployment" {
				historyServerRuns(p)
			}
		}
	})
})

var zero = resource.NewQuantity(0, resource.DecimalSI)

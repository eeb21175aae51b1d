// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/manager"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// namespaceLabel is the inventory label that the cache selects by.
const namespaceLabel = "sparkpipeline.dev/pipeline-namespace"

// edits change, of each kind, a value that the operator wrote.
var edits = map[string]string{
	"AlertmanagerConfig":      `{"spec":{"receivers":[]}}`,
	"Certificate":             `{"spec":{"duration":"1h"}}`,
	"ControllerRevision":      `{"revision":99}`,
	"CronJob":                 `{"spec":{"schedule":"* * * * *"}}`,
	"Deployment":              `{"spec":{"replicas":0}}`,
	"HorizontalPodAutoscaler": `{"spec":{"maxReplicas":99}}`,
	"Issuer":                  `{"spec":{"selfSigned":null}}`,
	"Job":                     `{"spec":{"backoffLimit":1}}`,
	"LimitRange":              `{"spec":{"limits":[]}}`,
	"Namespace":               `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`,
	"NetworkPolicy":           `{"spec":{"policyTypes":["Ingress"],"ingress":[{}],"egress":null}}`,
	"PersistentVolumeClaim":   `{"metadata":{"annotations":{"argocd.argoproj.io/sync-options":"Prune=true"}}}`,
	"PodDisruptionBudget":     `{"spec":{"minAvailable":"1%","maxUnavailable":null}}`,
	"PodMonitor":              `{"spec":{"podMetricsEndpoints":[]}}`,
	"PrometheusRule":          `{"spec":{"groups":[]}}`,
	"ResourceQuota":           `{"spec":{"hard":{"pods":"1"}}}`,
	"RoleBinding":             `{"subjects":null}`,
	"Schedule":                `{"spec":{"schedule":"* * * * *"}}`,
	"Service":                 `{"spec":{"selector":{"spark-role":"nobody"}}}`,
	"ServiceAccount":          `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"somebody"}}}`,
	"ServiceMonitor":          `{"spec":{"endpoints":[]}}`,
	"VerticalPodAutoscaler":   `{"spec":{"updatePolicy":{"updateMode":"Auto"}}}`,
}

// ledger adds up the requests about a pipeline.
type ledger struct {
	pipeline *v1alpha1.SparkPipeline
	sent     []string
}

func (l *ledger) read() []string {
	for _, word := range []string{"/" + l.pipeline.Namespace, "/sp-" + l.pipeline.Name + "-"} {
		l.sent = append(l.sent, requests.take(word)...)
	}
	return l.sent
}

// exactly waits until these requests were sent and no others are.
func (l *ledger) exactly(want []string, besides func(string) bool) {
	GinkgoHelper()
	counted := func() []string {
		return slices.DeleteFunc(slices.Clone(l.read()), besides)
	}
	Eventually(counted).Should(ConsistOf(want))
	Consistently(counted).WithTimeout(250 * time.Millisecond).Should(ConsistOf(want))
}

func statusWrite(line string) bool { return strings.HasSuffix(line, "/status") }

// pathOf is where the API server has a child.
func pathOf(c v1alpha1.ChildStatus) string {
	mapping, err := admin.RESTMapper().RESTMapping(schema.GroupKind{Group: c.Group, Kind: c.Kind})
	Expect(err).NotTo(HaveOccurred())
	prefix := "/api"
	if c.Group != "" {
		prefix = "/apis/" + c.Group
	}
	prefix += "/" + mapping.Resource.Version
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		prefix += "/namespaces/" + c.Namespace
	}
	return prefix + "/" + mapping.Resource.Resource + "/" + c.Name
}

// editOf is a patch that changes a value of ours in a child.
func editOf(c v1alpha1.ChildStatus) string {
	if c.Kind == "ConfigMap" {
		m := &corev1.ConfigMap{}
		Expect(admin.Get(context.Background(), client.ObjectKey{Namespace: c.Namespace, Name: c.Name}, m)).To(Succeed())
		return fmt.Sprintf(`{"data":{%q:"edited"}}`, slices.Sorted(maps.Keys(m.Data))[0])
	}
	Expect(edits).To(HaveKey(c.Kind), "each kind of children has an edit")
	return edits[c.Kind]
}

// drifts are what somebody can do to a child, and what it costs to repair.
var drifts = []struct {
	name string
	do   func(context.Context, v1alpha1.ChildStatus)
	// cost lists the verbs of the repair.
	cost func(v1alpha1.ChildStatus) []string
	// spares says which kinds are left out.
	spares []string
}{
	{"edited", func(ctx context.Context, c v1alpha1.ChildStatus) { patchChild(ctx, c, editOf(c)) },
		func(v1alpha1.ChildStatus) []string { return []string{"PATCH"} }, nil},
	{"stripped of the pipeline's name", func(ctx context.Context, c v1alpha1.ChildStatus) {
		patchChild(ctx, c, fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, ownerLabel))
	}, func(v1alpha1.ChildStatus) []string { return []string{"PATCH"} }, nil},
	{"hidden from the cache", func(ctx context.Context, c v1alpha1.ChildStatus) {
		patchChild(ctx, c, fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, namespaceLabel))
	}, func(c v1alpha1.ChildStatus) []string {
		if c.Kind == "Namespace" { // All namespaces are in the cache.
			return []string{"PATCH"}
		}
		return []string{"GET", "PATCH"}
	}, nil},
	{"deleted", func(ctx context.Context, c v1alpha1.ChildStatus) {
		Expect(admin.Delete(ctx, child(c), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
	},
		func(v1alpha1.ChildStatus) []string { return []string{"GET", "PATCH"} }, []string{"Namespace", "PersistentVolumeClaim"}},
}

func patchChild(ctx context.Context, c v1alpha1.ChildStatus, patch string) {
	GinkgoHelper()
	Expect(admin.Patch(ctx, child(c), client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner("kubectl-edit"))).
		To(Succeed(), "%s %s", c.Kind, c.Name)
}

// fullSample is config/samples/full.yaml in a namespace of the test's own.
func fullSample(ctx context.Context) *v1alpha1.SparkPipeline {
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "full.yaml"))
	Expect(err).NotTo(HaveOccurred())
	p := &v1alpha1.SparkPipeline{}
	Expect(yaml.UnmarshalStrict(text, p)).To(Succeed())
	p.Namespace = namespaceFor()
	p.Spec.Namespace = p.Namespace + "-prod"
	p.Spec.Monitoring.JMX = v1alpha1.JMXImage
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
	allow := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, desired.AnnotationAllowedNamespaces, p.Spec.Namespace)
	Expect(admin.Patch(ctx, ns, client.RawPatch(types.MergePatchType, []byte(allow)))).To(Succeed())
	return p
}

var _ = Describe("drift of every kind of child", Ordered, func() {
	var dedicated, shared *v1alpha1.SparkPipeline
	BeforeAll(func(ctx SpecContext) {
		veleroNamespace(ctx)
		install(allOptional()...)
		DeferCleanup(func() { uninstall(allOptional()...) })
		dedicated, shared = fullSample(ctx), alerting(namespaceFor())
		for _, p := range []*v1alpha1.SparkPipeline{dedicated, shared} {
			// Auto would be decided for good, perhaps before the operator has seen
			// that cert-manager is there.
			p.Spec.Security.Encryption = v1alpha1.SecurityTLS
			Expect(admin.Create(ctx, p)).To(Succeed())
			setState(p, sparkapi.StateRunning)
			pod := driverPod(p)
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			Expect(admin.Status().Update(ctx, pod)).To(Succeed())
			historyServerRuns(p)
			certificatesIssued(p)
			Eventually(kindsOf(p)).Should(ContainElements("HorizontalPodAutoscaler", "ControllerRevision"))
			Eventually(condition(p, "Ready")).Should(Equal("True/Ready"))
		}
	})

	It("is about all kinds that there are", func() {
		want := map[string]bool{}
		for _, k := range desired.Kinds() {
			gvks, _, err := manager.Scheme().ObjectKinds(k.Object)
			if err != nil {
				gvks = []schema.GroupVersionKind{k.Object.GetObjectKind().GroupVersionKind()}
			}
			want[gvks[0].Kind] = true
		}
		delete(want, desired.SnapshotKind.Kind) // The agent takes them; the operator only keeps account.
		// A CRD may be noticed after the pipeline was Ready without it.
		Eventually(func() []string {
			have := append(kindsOf(dedicated)(), kindsOf(shared)()...)
			slices.Sort(have)
			return slices.Compact(have)
		}).Should(ConsistOf(slices.Collect(maps.Keys(want))))
	})

	for _, d := range drifts {
		It("is repaired at its exact price, and nothing else is touched, when children are "+d.name, func(ctx SpecContext) {
			for _, p := range []*v1alpha1.SparkPipeline{dedicated, shared} {
				halves := 1
				if d.name == "edited" { // Of which one half proves that the other is not touched.
					halves = 2
				}
				for half := range halves {
					quiet(p)
					book := &ledger{pipeline: p}
					book.read()
					book.sent = nil
					var want []string
					for i, c := range p.Status.Children {
						if i%halves != half || c.Kind == "Secret" || slices.Contains(d.spares, c.Kind) {
							continue
						}
						d.do(ctx, c)
						for _, verb := range d.cost(c) {
							want = append(want, verb+" "+pathOf(c))
						}
					}
					if d.name == "deleted" {
						book.exactly(want, statusWrite)
						historyServerRuns(p)
						certificatesIssued(p)
						Eventually(condition(p, "Ready")).Should(Equal("True/Ready"))
					} else {
						book.exactly(want, func(string) bool { return false })
					}
				}
			}
		})
	}

	It("leaves every child as it was, of the same identity where it was not deleted", func(ctx SpecContext) {
		for _, p := range []*v1alpha1.SparkPipeline{dedicated, shared} {
			Expect(condition(p, "Ready")()).To(Equal("True/Ready"))
			for _, c := range p.Status.Children {
				if c.Kind == "Secret" {
					continue
				}
				live := get(c)(Default)
				Expect(live.UID).To(Equal(c.UID), "%s %s", c.Kind, c.Name)
				Expect(live.Labels).To(And(HaveKeyWithValue(ownerLabel, p.Name), HaveKeyWithValue(namespaceLabel, p.Namespace),
					HaveKeyWithValue("app.kubernetes.io/managed-by", "sparkpipeline-operator")), "%s %s", c.Kind, c.Name)
			}
		}
	})

	It("does not bring back a Secret, at no request, nor touch a claim that goes, and says so", func(ctx SpecContext) {
		quiet(shared)
		book := &ledger{pipeline: shared}
		var claims int
		for _, c := range shared.Status.Children {
			switch c.Kind {
			case "Secret":
				Expect(admin.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name}})).To(Succeed())
			case "PersistentVolumeClaim":
				Expect(admin.Delete(ctx, child(c), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
				claims++
			}
		}
		Expect(claims).To(BeNumerically(">", 0))
		Eventually(condition(shared, "Ready")).Should(Equal("False/ClaimTerminating"))
		book.exactly(nil, statusWrite)
	})
})

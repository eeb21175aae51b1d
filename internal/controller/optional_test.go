// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// optionalAPI is one that a cluster may lack.
type optionalAPI struct {
	group, version string
	// kinds maps kinds to their plural names.
	kinds map[string]string
}

var optionalAPIs = map[string]optionalAPI{
	"prometheus-operator": {"monitoring.coreos.com", "v1", map[string]string{
		"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}},
	"alertmanager":   {"monitoring.coreos.com", "v1alpha1", map[string]string{"AlertmanagerConfig": "alertmanagerconfigs"}},
	"the autoscaler": {"autoscaling.k8s.io", "v1", map[string]string{"VerticalPodAutoscaler": "verticalpodautoscalers"}},
	"cert-manager":   {"cert-manager.io", "v1", map[string]string{"Issuer": "issuers", "Certificate": "certificates"}},
	"Velero":         {"velero.io", "v1", map[string]string{"Schedule": "schedules"}},
}

// crds are stand-ins: they bring the API and accept whatever is sent.
func (a optionalAPI) crds() []*apiextensionsv1.CustomResourceDefinition {
	var out []*apiextensionsv1.CustomResourceDefinition
	for kind, plural := range a.kinds {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: plural + "." + a.group}}
		if strings.HasSuffix(a.group, ".k8s.io") {
			crd.Annotations = map[string]string{"api-approved.kubernetes.io": "unapproved, a stand-in"}
		}
		crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
			Group: a.group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, ListKind: kind + "List", Plural: plural, Singular: strings.ToLower(kind)},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: a.version, Served: true, Storage: true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true)}},
			}},
		}
		out = append(out, crd)
	}
	return out
}

// kindsIn maps the kinds of some APIs to their plural names.
func kindsIn(names []string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		maps.Copy(out, optionalAPIs[n].kinds)
	}
	return out
}

func crdsOf(names []string) []*apiextensionsv1.CustomResourceDefinition {
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, n := range names {
		out = append(out, optionalAPIs[n].crds()...)
	}
	return out
}

func install(names ...string) {
	GinkgoHelper()
	_, err := envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{CRDs: crdsOf(names)})
	Expect(err).NotTo(HaveOccurred())
}

// uninstall removes APIs, with all their objects, and waits until they are gone.
func uninstall(names ...string) {
	GinkgoHelper()
	crds := crdsOf(names)
	Expect(envtest.UninstallCRDs(env.Config, envtest.CRDInstallOptions{CRDs: crds})).To(Succeed())
	for _, crd := range crds {
		o := metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(context.Background(), client.ObjectKeyFromObject(crd), &o))
		}).Should(BeTrue(), crd.Name)
	}
}

func allOptional() []string {
	var out []string
	for n := range optionalAPIs {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// veleroNamespace is where Velero looks for its schedules.
func veleroNamespace(ctx context.Context) {
	err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "velero"}})
	Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
}

// alerting is a pipeline that has a child of every optional kind.
func alerting(namespace string) *v1alpha1.SparkPipeline {
	p := minimal(namespace)
	p.Spec.Monitoring.JMX = v1alpha1.JMXImage
	p.Spec.Monitoring.Alertmanager.Slack = &v1alpha1.SlackReceiver{
		Channel: "#alerts", APIURLSecret: v1alpha1.SecretKeyReference{Name: "receivers", Key: "url"}}
	return p
}

// certificatesIssued plays cert-manager.
func certificatesIssued(p *v1alpha1.SparkPipeline) {
	for _, kind := range []string{"Issuer", "Certificate"} {
		c := v1alpha1.ChildStatus{Group: "cert-manager.io", Kind: kind, Namespace: p.WorkloadNamespace(), Name: p.Name + "-tls"}
		Eventually(func() error {
			return admin.Status().Patch(context.Background(), child(c), client.RawPatch(types.MergePatchType,
				[]byte(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)))
		}).Should(Succeed())
	}
}

// kindsOf lists the kinds of a pipeline's children, each once.
func kindsOf(p *v1alpha1.SparkPipeline) func() []string {
	return func() []string {
		if err := admin.Get(context.Background(), client.ObjectKeyFromObject(p), p); err != nil {
			return []string{err.Error()}
		}
		var out []string
		for _, c := range p.Status.Children {
			out = append(out, c.Kind)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
}

// said is the message of a condition.
func said(p *v1alpha1.SparkPipeline, kind string) func() string {
	return func() string {
		Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(p), p)).To(Succeed())
		if c := meta.FindStatusCondition(p.Status.Conditions, kind); c != nil {
			return c.Message
		}
		return ""
	}
}

var _ = Describe("optional APIs", Ordered, func() {
	var before, after *v1alpha1.SparkPipeline
	AfterAll(func() { uninstall(allOptional()...) })
	play := func(ctx SpecContext) *v1alpha1.SparkPipeline {
		p := alerting(namespaceFor())
		Expect(admin.Create(ctx, p)).To(Succeed())
		setState(p, sparkapi.StateRunning)
		historyServerRuns(p)
		return p
	}

	It("that are not there are skipped and said, and cost nothing", func(ctx SpecContext) {
		veleroNamespace(ctx)
		before = play(ctx)
		Eventually(condition(before, "Ready")).Should(Equal("True/Ready"))
		Eventually(condition(before, "ChildrenReady")).Should(Equal("True/APIMissing"))
		Expect(said(before, "ChildrenReady")()).To(HavePrefix("skipped, because the API is not installed: AlertmanagerConfig " + before.Namespace + "/"))
		quiet(before)
		requests.take()
		By("also in a pass that somebody else caused")
		pod := driverPod(before)
		DeferCleanup(func(ctx SpecContext) { Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed()) })
		Eventually(kindsOf(before)).Should(ContainElement("HorizontalPodAutoscaler"))
		quiet(before)
		// Lists across namespaces are of pipelines of other tests that are being deleted.
		Expect(requests.take("GET /apis")).NotTo(ContainElement(MatchRegexp("^GET /apis(/[^/]+(/[^/]+)?)?$")), "no discovery")
	})

	for _, name := range allOptional() {
		It("bring children without a restart when they are installed: "+name, func(ctx SpecContext) {
			api := optionalAPIs[name]
			install(name)
			if name == "cert-manager" {
				return // Encryption was chosen without it; see below.
			}
			for kind := range api.kinds {
				Eventually(kindsOf(before)).Should(ContainElement(kind))
				Eventually(said(before, "ChildrenReady")).ShouldNot(ContainSubstring(kind + " "))
			}
		})
	}

	It("leave nothing to say when all are there, and are kept like all children", func(ctx SpecContext) {
		Eventually(condition(before, "ChildrenReady")).Should(Equal("True/ChildrenReady"))
		after = play(ctx)
		certificatesIssued(after)
		Eventually(condition(after, "Ready")).Should(Equal("True/Ready"))
		Expect(kindsOf(after)()).To(ContainElements("AlertmanagerConfig", "Certificate", "Issuer", "PodMonitor", "PrometheusRule",
			"Schedule", "ServiceMonitor", "VerticalPodAutoscaler"))
		Expect(kindsOf(before)()).NotTo(ContainElement("Certificate"), "encryption is chosen once")
	})

	// One kind has a readiness of its own, and so a second watch.
	for _, names := range [][]string{{"cert-manager"}, {"Velero", "alertmanager", "prometheus-operator", "the autoscaler"}} {
		It("are said to be missing when they go, and cost nothing, until they come again: "+strings.Join(names, ", "), func(ctx SpecContext) {
			quiet(after)
			uninstall(names...)
			Eventually(condition(after, "ChildrenReady")).Should(Equal("True/APIMissing"))
			Eventually(condition(after, "Ready")).Should(Equal("True/Ready"), "a stream needs none of them")
			for kind := range kindsIn(names) {
				Eventually(kindsOf(after)).ShouldNot(ContainElement(kind))
			}
			quiet(after)
			requests.take()
			requests.takeWatches("")
			Consistently(func() []string {
				sent := requests.take(after.Namespace)
				for _, n := range names {
					api := optionalAPIs[n]
					sent = append(sent, requests.take(api.group)...)
					sent = append(sent, requests.takeWatches(api.group+"/"+api.version+"/")...)
				}
				return sent
			}).WithTimeout(1500 * time.Millisecond).Should(BeEmpty())
			install(names...)
			issued := func() {
				if slices.Contains(names, "cert-manager") {
					certificatesIssued(after)
				}
				Eventually(condition(after, "ChildrenReady")).Should(Equal("True/ChildrenReady"))
			}
			issued()
			By("and be kept as before")
			quiet(after)
			for _, c := range after.Status.Children {
				if kindsIn(names)[c.Kind] == "" {
					continue
				}
				Expect(admin.Delete(ctx, child(c), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
				Eventually(get(c)).Should(HaveField("UID", Not(Equal(c.UID))))
			}
			issued()
		})
	}

	It("that are gone do not block the deletion of a pipeline", func(ctx SpecContext) {
		uninstall("cert-manager", "Velero")
		Expect(admin.Delete(ctx, after)).To(Succeed())
		uninstall("prometheus-operator")
		Eventually(suspendAsked(after)).Should(BeTrue())
		setState(after, sparkapi.StateSuspended)
		Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(after), &v1alpha1.SparkPipeline{}))
		}).Should(BeTrue())
	})
})

var _ = Describe("the Spark operator", Ordered, func() {
	crd := envtest.CRDInstallOptions{Paths: []string{filepath.Join("..", "sparkapi", "testdata", "sparkoperator.k8s.io_sparkapplications.yaml")}}
	back := func() {
		GinkgoHelper()
		_, err := envtest.InstallCRDs(env.Config, crd)
		Expect(err).NotTo(HaveOccurred())
	}
	AfterAll(back)
	var running, new, gone *v1alpha1.SparkPipeline

	It("that is removed is said to be missing, and costs nothing", func() {
		running, gone = ready(), ready()
		Expect(envtest.UninstallCRDs(env.Config, crd)).To(Succeed())
		for _, p := range []*v1alpha1.SparkPipeline{running, gone} {
			Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/SparkOperatorMissing"))
			Expect(condition(p, "Applied")()).To(Equal("True/Applied"))
		}
		quiet(running)
		requests.take()
		requests.takeWatches("")
		Consistently(func() []string {
			return slices.Concat(requests.take("sparkoperator"), requests.take(running.Namespace), requests.takeWatches("sparkoperator"))
		}).WithTimeout(1500 * time.Millisecond).Should(BeEmpty())
	})

	It("that is missing does not block the deletion of a pipeline", func(ctx SpecContext) {
		Expect(admin.Delete(ctx, gone)).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(gone), &v1alpha1.SparkPipeline{}))
		}).Should(BeTrue())
	})

	It("that is missing at the creation of a pipeline holds back its start alone", func(ctx SpecContext) {
		new = minimal(namespaceFor())
		Expect(admin.Create(ctx, new)).To(Succeed())
		Eventually(condition(new, "Ready")).Should(Equal("False/SparkOperatorMissing"))
		Expect(condition(new, "Applied")()).To(Equal("True/Applied"))
		Expect(requests.take("sparkoperator")).To(BeEmpty())
	})

	It("that comes gets the applications at once", func() {
		back()
		for _, p := range []*v1alpha1.SparkPipeline{new, running} {
			Eventually(uidOf(p)).ShouldNot(BeEmpty())
			setState(p, sparkapi.StateRunning)
			Eventually(condition(p, "ApplicationRunning")).Should(Equal("True/Running"))
		}
	})
})

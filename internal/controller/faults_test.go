// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/controller"
	"sparkpipeline.dev/operator/internal/manager"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// refuse answers requests of a method whose path contains all words.
func refuse(code int, reason, message, method string, words ...string) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	return func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if !about(req, method, words...) {
			return nil, nil
		}
		return answer(req, code, reason, message), nil
	}
}

// answer is a refusal as an API server writes it.
func answer(req *http.Request, code int, reason, message string) *http.Response {
	text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":%q,"code":%d}`, reason, message, code)
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(text)), Request: req}
}

func about(req *http.Request, method string, words ...string) bool {
	return (method == "" || req.Method == method) && req.URL.Query().Get("watch") == "" &&
		!slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(req.URL.Path, w) })
}

// first lets a fault happen so many times.
func first(times int32, fault func(*http.Request, http.RoundTripper) (*http.Response, error)) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	var n atomic.Int32
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if n.Load() >= times {
			return nil, nil
		}
		answer, err := fault(req, next)
		if answer != nil || err != nil {
			n.Add(1)
		}
		return answer, err
	}
}

// loseAnswer lets requests reach the API server and loses what it says.
func loseAnswer(method string, words ...string) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if !about(req, method, words...) {
			return nil, nil
		}
		answer, err := next.RoundTrip(req)
		if err == nil {
			_ = answer.Body.Close()
			err = errors.New("the connection was lost")
		}
		return nil, err
	}
}

// brokenMapper is what discovery looks like while the API server fails.
type brokenMapper struct{ meta.RESTMapper }

func (brokenMapper) RESTMapping(schema.GroupKind, ...string) (*meta.RESTMapping, error) {
	return nil, apierrors.NewServiceUnavailable("discovery is down")
}

// emptyMapper knows the kinds that every API server has.
type emptyMapper struct{ meta.RESTMapper }

func (m emptyMapper) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if strings.Contains(gk.Group, ".") && !strings.HasSuffix(gk.Group, ".k8s.io") || gk.Group == "sparkoperator.k8s.io" || gk.Group == "autoscaling.k8s.io" {
		return nil, &meta.NoKindMatchError{GroupKind: gk, SearchedVersions: versions}
	}
	return &meta.RESTMapping{}, nil
}

var _ = Describe("discovery", func() {
	It("that fails is not a missing API", func() {
		_, err := controller.NewAPIs(manager.Scheme(), brokenMapper{})
		Expect(err).To(MatchError(And(HavePrefix("ask for the API of "), ContainSubstring("discovery is down"))))
	})

	It("that answers says what is missing", func() {
		apis, err := controller.NewAPIs(manager.Scheme(), emptyMapper{})
		Expect(err).NotTo(HaveOccurred())
		Expect(apis.Installed(sparkapi.GroupVersionKind)).To(BeFalse())
		var kinds []string
		for _, k := range apis.Kinds() {
			kinds = append(kinds, k.GVK.Kind)
		}
		Expect(kinds).To(ContainElements("PersistentVolumeClaim", "Deployment", "NetworkPolicy"))
		Expect(kinds).NotTo(ContainElement(BeElementOf("ServiceMonitor", "PodMonitor", "PrometheusRule", "AlertmanagerConfig",
			"VerticalPodAutoscaler", "Certificate", "Issuer", "Schedule")))
	})

	DescribeTable("that fails when an API comes delays its children, and holds up nothing else", func(ctx SpecContext, path string) {
		veleroNamespace(ctx)
		p := ready()
		var broken, asked atomic.Int32
		broken.Store(1)
		requests.inject(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if broken.Load() == 0 || !strings.Contains(req.URL.Path, path) {
				return nil, nil
			}
			asked.Add(1)
			return answer(req, http.StatusServiceUnavailable, "ServiceUnavailable", "the API is down"), nil
		})
		install("Velero")
		DeferCleanup(func() { uninstall("Velero") })
		Eventually(asked.Load).Should(BeNumerically(">", 1))
		Expect(condition(p, "ApplicationRunning")()).To(Equal("True/Running"))
		By("and what has nothing to do with it goes on")
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Suspend = true })
		Eventually(suspendAsked(p)).Should(BeTrue())
		broken.Store(0)
		Eventually(kindsOf(p)).WithTimeout(20 * time.Second).Should(ContainElement("Schedule"))
	},
		Entry("with all of the API", "/apis/velero.io"),
		Entry("not, but the lists of the API do", "/apis/velero.io/v1/"),
	)
})

var _ = Describe("an API server with faults", func() {
	It("that loses the status makes no child twice, and no child a stranger", func(ctx SpecContext) {
		namespace := namespaceFor()
		var reasons atomic.Value
		reasons.Store("")
		lost := first(3, refuse(http.StatusInternalServerError, "InternalError", "etcd is full", "PATCH", namespace, "/status"))
		requests.inject(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if about(req, "PATCH", namespace, "/status") && req.Body != nil {
				text, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				req.Body = io.NopCloser(strings.NewReader(string(text)))
				reasons.Store(reasons.Load().(string) + string(text))
			}
			return lost(req, next)
		})
		p := minimal(namespace)
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Starting"))
		Expect(reasons.Load()).NotTo(ContainSubstring("NotOwned"))
		for _, c := range p.Status.Children {
			if c.Kind != "Secret" {
				Expect(get(c)(Default).UID).To(Equal(c.UID), "%s %s", c.Kind, c.Name)
			}
		}
		posts := requests.take("POST", namespace, "secrets")
		Expect(len(posts)).To(BeNumerically(">=", 1))
		Expect(requests.take("POST", namespace, "sparkapplications")).To(HaveLen(1))
	})

	It("that refuses a child again and again is told of in one write of the status, and gets its due when it stops", func(ctx SpecContext) {
		namespace := namespaceFor()
		var down atomic.Bool
		down.Store(true)
		fault := refuse(http.StatusInternalServerError, "InternalError", "etcd is full", "PATCH", namespace, "/services/orders-web")
		requests.inject(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if !down.Load() {
				return nil, nil
			}
			return fault(req, next)
		})
		p := minimal(namespace)
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(condition(p, "Applied")).Should(Equal("False/Retrying"))
		Expect(said(p, "Applied")()).To(Equal("apply Service " + namespace + "/orders-web: etcd is full"))
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Starting"), "a stream does not wait for a Service of its metrics")
		quietBut(namespace, "/services/orders-web")
		requests.take(namespace)
		tries := 0
		Eventually(func() int {
			tries += len(requests.take("PATCH", namespace, "/services/orders-web"))
			return tries
		}).Should(BeNumerically(">=", 3))
		Expect(requests.take(namespace, "/status")).To(BeEmpty(), "the same again is no news")
		down.Store(false)
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.DeletionPolicy = v1alpha1.DeletionRetain })
		Eventually(condition(p, "Applied")).Should(Equal("True/Applied"))
	})

	It("that loses the answer to a start gets one application, not two", func(ctx SpecContext) {
		namespace := namespaceFor()
		requests.inject(first(1, loseAnswer("POST", namespace, "/sparkapplications")))
		p := minimal(namespace)
		Expect(admin.Create(ctx, p)).To(Succeed())
		Eventually(uidOf(p)).ShouldNot(BeEmpty())
		uid := uidOf(p)()
		Eventually(condition(p, "ApplicationRunning")).Should(Equal("False/Starting"))
		setState(p, sparkapi.StateRunning)
		historyServerRuns(p)
		Eventually(condition(p, "Ready")).Should(Equal("True/Ready"))
		Expect(uidOf(p)()).To(Equal(uid))
	})

	It("that refuses every child does not keep a driver running that must stop", func() {
		p := ready()
		requests.inject(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if strings.Contains(req.URL.Path, "spark") {
				return nil, nil
			}
			return refuse(http.StatusForbidden, "Forbidden", "exceeded quota", "PATCH", p.Namespace)(req, next)
		})
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Suspend, s.Executor.Instances = true, 7 })
		Eventually(suspendAsked(p)).Should(BeTrue())
	})

	It("that refuses deletes is said to hold up the deletion, which ends when it stops", func(ctx SpecContext) {
		p := ready()
		var down atomic.Bool
		down.Store(true)
		fault := refuse(http.StatusInternalServerError, "InternalError", "etcd is full", "DELETE", p.Namespace, "/networkpolicies/")
		requests.inject(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if !down.Load() {
				return nil, nil
			}
			return fault(req, next)
		})
		Expect(admin.Delete(ctx, p)).To(Succeed())
		Eventually(suspendAsked(p)).Should(BeTrue())
		setState(p, sparkapi.StateSuspended)
		Eventually(said(p, "Applied")).Should(And(HavePrefix("deletion goes on when this is settled: "), ContainSubstring("delete NetworkPolicy "+p.Namespace)))
		down.Store(false)
		Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(p), &v1alpha1.SparkPipeline{}))
		}).Should(BeTrue())
	})
})

// quietBut waits until the operator sends nothing about a namespace but requests
// of one path.
func quietBut(namespace, path string) {
	Eventually(func(g Gomega) {
		requests.take(namespace)
		g.Consistently(func() []string {
			return slices.DeleteFunc(requests.take(namespace), func(s string) bool { return strings.HasSuffix(s, path) })
		}).WithTimeout(200 * time.Millisecond).Should(BeEmpty())
	}).Should(Succeed())
}

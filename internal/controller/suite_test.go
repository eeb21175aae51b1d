// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/manager"
)

func TestController(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(10 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	format.MaxLength = 600
	RunSpecs(t, "the controller on an API server")
}

var (
	env      *envtest.Environment
	admin    client.Client
	operator *rest.Config // The rights of config/default, and no more.
	requests = &recorder{}
)

const systemNamespace = "sparkpipeline-system"

var _ = BeforeSuite(func() {
	logf.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		Fail("KUBEBUILDER_ASSETS is empty; `make test` builds kube-apiserver and etcd and sets it")
	}
	env = &envtest.Environment{
		ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{
			filepath.Join("..", "..", "config", "crd", "sparkpipeline.dev_sparkpipelines.yaml"),
			filepath.Join("..", "sparkapi", "testdata", "sparkoperator.k8s.io_sparkapplications.yaml"),
		},
	}
	config, err := env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	config.QPS = -1
	scheme := manager.Scheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	admin, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	operator = operatorConfig(config)
	startManager(operator)
})

// operatorConfig installs the operator's role and answers with a configuration
// that has the token of its ServiceAccount.
func operatorConfig(config *rest.Config) *rest.Config {
	ctx := context.Background()
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}})).To(Succeed())
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "sparkpipeline-operator"}}
	Expect(admin.Create(ctx, account)).To(Succeed())
	for _, file := range roleFiles() {
		text, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		for _, doc := range strings.Split(string(text), "\n---") {
			o := decodeRBAC(doc)
			if o != nil {
				Expect(admin.Create(ctx, o)).To(Succeed(), file)
			}
		}
	}
	request := &authenticationv1.TokenRequest{}
	Expect(admin.SubResource("token").Create(ctx, account, request)).To(Succeed())
	own := rest.AnonymousClientConfig(config)
	own.BearerToken = request.Status.Token
	own.QPS = -1
	own.WrapTransport = func(rt http.RoundTripper) http.RoundTripper { return requests.around(rt) }
	return own
}

func roleFiles() []string {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "rbac", "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	return files
}

// decodeRBAC reads the objects of rbac.authorization.k8s.io from a document.
func decodeRBAC(doc string) client.Object {
	var kind metav1.TypeMeta
	Expect(yaml.Unmarshal([]byte(doc), &kind)).To(Succeed())
	objects := map[string]client.Object{
		"ClusterRole": &rbacv1.ClusterRole{}, "ClusterRoleBinding": &rbacv1.ClusterRoleBinding{},
		"Role": &rbacv1.Role{}, "RoleBinding": &rbacv1.RoleBinding{},
	}
	o := objects[kind.Kind]
	if o != nil {
		Expect(yaml.Unmarshal([]byte(doc), o)).To(Succeed())
	}
	return o
}

// startManager runs the operator as its own binary would, in this process.
func startManager(config *rest.Config) {
	mgr, err := manager.New(config, manager.Options{
		MetricsAddress: "0", ProbeAddress: "0", InstallID: "default", Workers: 4, DedicatedNamespaces: true,
		AgentImage: "sparkpipeline-operator:test", VeleroNamespace: "velero", Placement: "none",
		QuotaCeiling: "pods=1000,cpu=2000,memory=4Ti,storage=20Ti", GracefulTimeout: 5 * time.Second,
	})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).Should(Receive(Satisfy(func(err error) bool { return err == nil || errors.Is(err, context.Canceled) })))
	})
	Eventually(func() bool { return mgr.GetCache().WaitForCacheSync(ctx) }).Should(BeTrue())
	_ = ctrl.Log
}

// recorder counts the requests of the operator, those of watches and leases
// apart, and can answer in the place of the API server.
type recorder struct {
	mu      sync.Mutex
	seen    []string
	watches []string
	// fault answers a request, or passes it on by answering nil and no error.
	fault func(*http.Request, http.RoundTripper) (*http.Response, error)
}

// inject lets requests be answered by fault until the spec ends.
func (r *recorder) inject(fault func(*http.Request, http.RoundTripper) (*http.Response, error)) {
	set := func(f func(*http.Request, http.RoundTripper) (*http.Response, error)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fault = f
	}
	set(fault)
	DeferCleanup(func() { set(nil) })
}

// takeWatches answers with the watches that were begun since the last call on
// paths that contain the word.
func (r *recorder) takeWatches(word string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, s := range r.watches {
		if strings.Contains(s, word) {
			out = append(out, s)
		}
	}
	r.watches = nil
	return out
}

func (r *recorder) around(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		switch {
		case req.URL.Query().Get("watch") != "":
			r.watches = append(r.watches, req.URL.Path)
		case !strings.Contains(req.URL.Path, "/leases") && !strings.Contains(req.URL.Path, "/events"):
			r.seen = append(r.seen, req.Method+" "+req.URL.Path)
		}
		fault := r.fault
		r.mu.Unlock()
		if fault != nil {
			if answer, err := fault(req, next); answer != nil || err != nil {
				return answer, err
			}
		}
		return next.RoundTrip(req)
	})
}

// take answers with the requests since the last call, of paths that contain all
// of the given words.
func (r *recorder) take(words ...string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out, rest []string
	for _, s := range r.seen {
		matches := true
		for _, w := range words {
			matches = matches && strings.Contains(s, w)
		}
		if matches {
			out = append(out, s)
		} else {
			rest = append(rest, s)
		}
	}
	r.seen = rest
	return out
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/manager"
)

// ground is what all runs stand on: one API server, and what watches it.
type ground struct {
	env      *envtest.Environment
	admin    client.Client
	operator *rest.Config // The rights of config/rbac, and no more.
	observer *observer
}

var base *ground

func TestMain(m *testing.M) {
	logf.SetLogger(logr.Discard())
	g, err := newGround()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the ground of the fault tests:", err)
		os.Exit(1)
	}
	base = g
	code := m.Run()
	g.observer.stop()
	if left := goroutinesLeft(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines of operators that were stopped are left:\n"+left)
		code = 1
	}
	if err := g.env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
	}
	os.Exit(code)
}

func newGround() (*ground, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is empty; `make test-faults` builds kube-apiserver and etcd and sets it")
	}
	g := &ground{env: &envtest.Environment{
		ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{
			filepath.Join("..", "..", "config", "crd", "sparkpipeline.dev_sparkpipelines.yaml"),
			filepath.Join("..", "..", "internal", "sparkapi", "testdata", "sparkoperator.k8s.io_sparkapplications.yaml"),
		},
		CRDs: optionalCRDs(),
	}}
	config, err := g.env.Start()
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	scheme := manager.Scheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if g.admin, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if g.operator, err = g.operatorConfig(config); err != nil {
		return nil, err
	}
	g.observer, err = newObserver(config, scheme, g.admin.RESTMapper())
	return g, err
}

// operatorConfig installs the operator's role and answers with a configuration
// that has the token of its ServiceAccount.
func (g *ground) operatorConfig(config *rest.Config) (*rest.Config, error) {
	ctx := context.Background()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "sparkpipeline-system", Name: "sparkpipeline-operator"}}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: account.Namespace}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "velero"}}, account,
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "rbac", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, doc := range strings.Split(string(text), "\n---") {
			o, err := decodeRBAC(doc)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if o != nil {
				objects = append(objects, o)
			}
		}
	}
	for _, o := range objects {
		if err := g.admin.Create(ctx, o); err != nil {
			return nil, err
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := g.admin.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, err
	}
	own := rest.AnonymousClientConfig(config)
	own.BearerToken = request.Status.Token
	own.QPS = -1
	return own, nil
}

// decodeRBAC reads an object of rbac.authorization.k8s.io; nil for others.
func decodeRBAC(doc string) (client.Object, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
		return nil, err
	}
	o := map[string]client.Object{
		"ClusterRole": &rbacv1.ClusterRole{}, "ClusterRoleBinding": &rbacv1.ClusterRoleBinding{},
		"Role": &rbacv1.Role{}, "RoleBinding": &rbacv1.RoleBinding{},
	}[kind.Kind]
	if o == nil {
		return nil, nil
	}
	return o, yaml.Unmarshal([]byte(doc), o)
}

// optionalCRDs are stand-ins for the APIs that a cluster may lack: they accept
// whatever is sent.
func optionalCRDs() []*apiextensionsv1.CustomResourceDefinition {
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, a := range []struct{ group, version, kind, plural string }{
		{"monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"},
		{"monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"},
		{"monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"},
		{"monitoring.coreos.com", "v1alpha1", "AlertmanagerConfig", "alertmanagerconfigs"},
		{"autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", "verticalpodautoscalers"},
		{"snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots"},
		{"cert-manager.io", "v1", "Issuer", "issuers"},
		{"cert-manager.io", "v1", "Certificate", "certificates"},
		{"velero.io", "v1", "Schedule", "schedules"},
	} {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: a.plural + "." + a.group,
			Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, a stand-in"}}}
		crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
			Group: a.group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: a.kind, ListKind: a.kind + "List", Plural: a.plural, Singular: strings.ToLower(a.kind)},
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

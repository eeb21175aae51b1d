// SPDX-License-Identifier: Apache-2.0

// Package admission_test shows to a real API server what the
// CustomResourceDefinition accepts and refuses.
package admission_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/config/crd"
)

// The one API server of the suite, and a client of it.
var (
	config *rest.Config
	server client.Client
)

func TestAdmission(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Admission of SparkPipelines")
}

var _ = BeforeSuite(func() {
	Expect(os.Getenv("KUBEBUILDER_ASSETS")).NotTo(BeEmpty(),
		"KUBEBUILDER_ASSETS is empty: it names the directory of kube-apiserver and etcd; `make test` builds them and sets it")
	definition := new(apiextensionsv1.CustomResourceDefinition)
	Expect(yaml.UnmarshalStrict(crd.SparkPipelines, definition)).To(Succeed())

	environment := &envtest.Environment{
		CRDs:                     []*apiextensionsv1.CustomResourceDefinition{definition},
		DownloadBinaryAssets:     false,
		AttachControlPlaneOutput: false,
	}
	var err error
	config, err = environment.Start()
	DeferCleanup(environment.Stop)
	Expect(err).NotTo(HaveOccurred(), "starting the API server with the definition")
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	server, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

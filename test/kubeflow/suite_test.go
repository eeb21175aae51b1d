// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"context"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"sparkpipeline.dev/operator/test/kubeflow"
)

func TestStandIn(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "the stand-in for kubeflow's controller on an API server")
}

var (
	config *rest.Config
	admin  client.WithWatch
)

var _ = BeforeSuite(func() {
	logf.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		Fail("KUBEBUILDER_ASSETS is empty; `make test` builds kube-apiserver and etcd and sets it")
	}
	env := &envtest.Environment{}
	var err error
	config, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	config.QPS = -1
	Expect(kubeflow.InstallCRD(context.Background(), config)).To(Succeed())
	scheme, err := kubeflow.Scheme()
	Expect(err).NotTo(HaveOccurred())
	admin, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

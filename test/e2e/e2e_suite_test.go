// SPDX-License-Identifier: Apache-2.0

// Package e2e_test is the control-plane tier: a whole control plane from modules,
// simulated nodes, the stand-in for kubeflow's controller, and the operator as its
// own process under the ServiceAccount of config/default.
package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sparkpipeline.dev/operator/test/e2e/world"
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(90 * time.Second)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	RunSpecs(t, "the operator on a control plane")
}

var stage *world.World

var _ = BeforeSuite(func(ctx SpecContext) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	Expect(err).NotTo(HaveOccurred())
	_, err = os.Stat(filepath.Join(root, "bin", "manager"))
	Expect(err).NotTo(HaveOccurred(), "`make build` makes it")
	dir, err := os.MkdirTemp("", "e2e")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(world.Down(context.Background(), root, dir, GinkgoWriter)).To(Succeed())
		if !CurrentSpecReport().Failed() {
			Expect(os.RemoveAll(dir)).To(Succeed())
		}
	})
	stage, err = world.Up(ctx, root, dir, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Expect(stage.InstallOptionalAPIs(ctx)).To(Succeed())
	Expect(stage.OfferStorage(ctx, 0)).To(Succeed())
	Expect(stage.StartStandIn(ctx)).To(Succeed())
	Expect(stage.Install(ctx)).To(Succeed())
	Expect(stage.StartManager(ctx)).To(Succeed())
	_, err = stage.Kubectl(ctx, "create", "namespace", "data")
	Expect(err).NotTo(HaveOccurred())
	_, err = stage.Kubectl(ctx, "annotate", "namespace", "data", "sparkpipeline.dev/allowed-namespaces=orders-prod")
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(15*time.Minute))

var _ = ReportAfterEach(func(report SpecReport) {
	if report.Failed() && stage != nil {
		GinkgoWriter.Println(stage.Tail("manager"))
		GinkgoWriter.Println(stage.Tail("stand-in"))
	}
})

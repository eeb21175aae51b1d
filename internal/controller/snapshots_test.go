// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"os/exec"
	"path/filepath"
	"strings"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/snapshot"
)

// snapshotCRDs are those of the module that ships them.
func snapshotCRDs() envtest.CRDInstallOptions {
	GinkgoHelper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kubernetes-csi/external-snapshotter/client/v8").Output()
	Expect(err).NotTo(HaveOccurred())
	dir := filepath.Join(strings.TrimSpace(string(out)), "config", "crd")
	return envtest.CRDInstallOptions{ErrorIfPathMissing: true, Paths: []string{
		filepath.Join(dir, "snapshot.storage.k8s.io_volumesnapshots.yaml"),
		filepath.Join(dir, "snapshot.storage.k8s.io_volumesnapshotclasses.yaml"),
	}}
}

// snapshotJob says whether the CronJob of snapshots is suspended.
func snapshotJob(p *v1alpha1.SparkPipeline) func(SpecContext) (bool, error) {
	return func(ctx SpecContext) (bool, error) {
		job := &batchv1.CronJob{}
		err := admin.Get(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name + "-snapshot"}, job)
		return err == nil && *job.Spec.Suspend, err
	}
}

// snapshotOf is a snapshot of a pipeline's claim.
func snapshotOf(p *v1alpha1.SparkPipeline, name string) *volumesnapshotv1.VolumeSnapshot {
	s := &volumesnapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name, Labels: desired.OwnerLabels(p)}}
	s.Spec.Source.PersistentVolumeClaimName = new(p.Name + "-checkpoint")
	return s
}

var _ = Describe("snapshots of the checkpoint", Ordered, func() {
	var p *v1alpha1.SparkPipeline

	It("are off, and that is said, while the cluster has none", func(ctx SpecContext) {
		p = ready()
		Eventually(snapshotJob(p)).WithContext(ctx).Should(BeTrue())
		Eventually(said(p, "BackupConfigured")).Should(ContainSubstring("does not serve VolumeSnapshots"))
		Expect(condition(p, "Ready")()).To(Equal("True/Ready"))
	})

	It("begin when the API comes, for a volume of many nodes only with a class", func(ctx SpecContext) {
		_, err := envtest.InstallCRDs(env.Config, snapshotCRDs())
		Expect(err).NotTo(HaveOccurred())
		Eventually(said(p, "BackupConfigured")).Should(ContainSubstring("volumeSnapshotClassName"))
		Expect(snapshotJob(p)(ctx)).To(BeTrue())
		edit(p, func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Snapshot.VolumeSnapshotClassName = "ceph" })
		Eventually(snapshotJob(p)).WithContext(ctx).Should(BeFalse())
		Eventually(condition(p, "BackupConfigured")).ShouldNot(HaveSuffix("/NoSnapshots"))
		quiet(p)
	})

	It("outlive their pipeline unless their deletion is asked for, and those of others always do", func(ctx SpecContext) {
		Expect(snapshot.FieldManager).To(Equal(apply.FieldManager))
		kept, other := p, ready()
		edit(other, func(s *v1alpha1.SparkPipelineSpec) { s.DeletionPolicy = v1alpha1.DeletionDelete })
		make := func(p *v1alpha1.SparkPipeline) *snapshot.Cluster {
			agent, err := snapshot.Connect(env.Config, p.Namespace)
			Expect(err).NotTo(HaveOccurred())
			s, err := agent.Make(ctx, snapshotOf(p, "by-agent"))
			Expect(err).NotTo(HaveOccurred())
			Expect(snapshot.Ours(s, desired.OwnerLabels(p))).To(BeTrue())
			return agent
		}
		keptAgent, otherAgent := make(kept), make(other)
		_, err := otherAgent.Get(ctx, "by-agent")
		Expect(err).NotTo(HaveOccurred())
		Expect(otherAgent.Client.Create(ctx, snapshotOf(other, "by-hand"))).To(Succeed())
		releaseClaims(other)
		deleteAndStop(kept)
		deleteAndStop(other)
		_, err = otherAgent.Get(ctx, "by-agent")
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
		_, err = otherAgent.Get(ctx, "by-hand")
		Expect(err).NotTo(HaveOccurred())
		_, err = keptAgent.Get(ctx, "by-agent")
		Expect(err).NotTo(HaveOccurred())
	})

	AfterAll(func() {
		Expect(envtest.UninstallCRDs(env.Config, snapshotCRDs())).To(Succeed())
		// Every pipeline is told; that is not to come in the middle of another test.
		Eventually(said(ready(), "BackupConfigured")).Should(ContainSubstring("does not serve VolumeSnapshots"))
	})
})

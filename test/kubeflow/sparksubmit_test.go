// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/test/kubeflow"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

var _ = Describe("The real spark-submit", func() {
	It("makes the driver pod, once", func(ctx context.Context) {
		home := os.Getenv("SPARK_HOME")
		if home == "" {
			Skip("SPARK_HOME is not set: this one needs a Spark distribution and Java 17")
		}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "submit-"}}
		Expect(admin.Create(ctx, ns)).To(Succeed())
		app := minimal()
		app.Namespace, app.Name, app.Labels = ns.Name, appName, map[string]string{"team": "a"}
		Expect(admin.Create(ctx, app)).To(Succeed())
		app.Status.SubmissionID = "4b1c"
		kubeconfig := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
		Expect(kubeflow.WriteSubmitterKubeconfig(ctx, config, kubeconfig)).To(Succeed())
		submit := &spark.SparkSubmit{Home: home, Master: config.Host, Kubeconfig: kubeconfig, Log: GinkgoWriter}

		Expect(submit.Submit(ctx, app)).To(Succeed())
		pod := &corev1.Pod{}
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: appName + "-driver"}, pod)).To(Succeed())
		simulated, err := spark.NewRun(app).Driver()
		Expect(err).NotTo(HaveOccurred())
		simulated.Labels[spark.LabelAppID] = pod.Labels[spark.LabelAppID]
		Expect(pod.Labels).To(Equal(simulated.Labels), "the real driver and the simulated one")
		Expect(pod.OwnerReferences).To(Equal(simulated.OwnerReferences))

		Expect(submit.Submit(ctx, app)).To(MatchError(spark.ErrDriverExists))
	})
})

// SPDX-License-Identifier: Apache-2.0

// Package spark is what spark-submit and a driver make of a SparkApplication:
// Spark settings in kubeflow's order, pods and the StatefulSet of the executors as
// Spark 4.1 builds them, and the real spark-submit.
package spark

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Labels on Spark's pods: those of kubeflow, then those of Spark.
const (
	LabelAppName      = "sparkoperator.k8s.io/app-name"
	LabelLaunched     = "sparkoperator.k8s.io/launched-by-spark-operator"
	LabelSubmissionID = "sparkoperator.k8s.io/submission-id"
	LabelMutated      = "sparkoperator.k8s.io/mutated-by-spark-operator"

	LabelRole            = "spark-role"
	LabelAppID           = "spark-app-selector"
	LabelSparkAppName    = "spark-app-name"
	LabelVersion         = "spark-version"
	LabelExecutorID      = "spark-exec-id"
	LabelResourceProfile = "spark-exec-resourceprofile-id"
)

// Values of labels, and container names.
const (
	RoleDriver   = "driver"
	RoleExecutor = "executor"
	// UnknownExecutor is the executor id of a pod that has not registered.
	UnknownExecutor = "EXECID"

	DriverContainer   = "spark-kubernetes-driver"
	ExecutorContainer = "spark-kubernetes-executor"

	defaultProfile = "0"
)

// DriverPodName is the name of the driver pod, the same in every run.
func DriverPodName(app *sparkapi.SparkApplication) string {
	if name := ptr.Deref(app.Spec.Driver.PodName, ""); name != "" {
		return name
	}
	if name := app.Spec.SparkConf[driverPodNameKey]; name != "" {
		return name
	}
	return app.Name + "-driver"
}

// OwnedBy is the owner reference to an application.
func OwnedBy(app *sparkapi.SparkApplication) metav1.OwnerReference {
	return *metav1.NewControllerRef(app, sparkapi.GroupVersionKind)
}

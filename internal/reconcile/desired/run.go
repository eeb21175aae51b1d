// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// LastWaveBeforeStart is the last wave whose children the application stands on:
// its namespace, identity, policies and claims. What comes later may fail without
// keeping a stream from running.
const LastWaveBeforeStart = waveStorage

// executorSetPrefix begins the name of the StatefulSet that Spark's statefulset
// allocator makes: spark-s-<application id>-<resource profile>.
const executorSetPrefix = "spark-s-"

// ExecutorSetName is the name of the executors' StatefulSet of the run with the
// given spark-app-selector. Profile 0 is the default one.
func ExecutorSetName(appSelector string) string { return executorSetPrefix + appSelector + "-0" }

// IsExecutorSet says whether a StatefulSet of that name is one of Spark's.
func IsExecutorSet(name string) bool { return strings.HasPrefix(name, executorSetPrefix) }

// SparkPodSelector selects driver and executors of p, in the notation of /scale.
func SparkPodSelector(p *v1alpha1.SparkPipeline) string {
	return labels.SelectorFromSet(sparkSelector(p, "")).String()
}

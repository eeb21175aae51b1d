// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"crypto/sha256"
	"encoding/hex"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Labels and annotations. Inventory labels (pipeline and pipeline-namespace) say
// whose child an object is; they never go into the templates of pods or jobs.
// kubeflow copies the labels of a SparkApplication onto driver and executors, so
// these carry LabelPipeline too, and spark-role tells them from all others. Pods
// of the agent that the operator looks at carry LabelPipelineNamespace, which alone
// makes nothing a child.
const (
	// LabelPipeline holds the name of the SparkPipeline.
	LabelPipeline = "sparkpipeline.dev/pipeline"
	// LabelPipelineNamespace holds the namespace of the SparkPipeline.
	LabelPipelineNamespace = "sparkpipeline.dev/pipeline-namespace"
	// LabelComponent tells the pods of the operator's own making apart: agent,
	// watch, history-server.
	LabelComponent = "sparkpipeline.dev/component"
	// LabelWorkload holds the name of the pipeline on pods of the operator's own
	// making. It is no inventory label: pods of jobs are nobody's children.
	LabelWorkload = "sparkpipeline.dev/workload"
	// labelName is on the pods of the operator.
	labelName = "app.kubernetes.io/name"
	// LabelManagedBy is the recommended label of Kubernetes.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is its value on all children.
	ManagedBy = "sparkpipeline-operator"
	// LabelSparkRole is Spark's own: driver or executor.
	LabelSparkRole = "spark-role"
	// LabelSparkApp is Spark's own: the id of the run, new at each submission.
	LabelSparkApp = "spark-app-selector"
	// AnnotationAllowedNamespaces on a Namespace lists, with commas between
	// them, the dedicated namespaces that SparkPipelines in it may have.
	AnnotationAllowedNamespaces = "sparkpipeline.dev/allowed-namespaces"
)

// Components of LabelComponent.
const (
	componentAgent   = "agent"
	componentWatch   = "watch"
	componentHistory = "history-server"
)

// OwnerLabels select every child of p, of any kind, in any namespace. They carry
// name and namespace, not the UID: after a restore from a backup the pipeline has
// another UID and must know its children again.
func OwnerLabels(p *v1alpha1.SparkPipeline) map[string]string {
	return map[string]string{LabelPipeline: p.Name, LabelPipelineNamespace: p.Namespace}
}

// workloadNamespace is where the children live.
func workloadNamespace(p *v1alpha1.SparkPipeline) string {
	if p.Spec.Namespace != "" {
		return p.Spec.Namespace
	}
	return p.Namespace
}

// named is the metadata of a child in the workload's namespace. A role is at
// most 12 characters long, with its hyphen: the CRD bounds a pipeline's name at
// 40, so no name is ever cut.
func named(in Input, role string) metav1.ObjectMeta {
	name := in.Pipeline.Name
	if role != "" {
		name += "-" + role
	}
	return metav1.ObjectMeta{Name: name, Namespace: workloadNamespace(in.Pipeline)}
}

// sparkSelector selects the pods of Spark with the given role; with no role,
// driver and executors.
func sparkSelector(p *v1alpha1.SparkPipeline, role string) map[string]string {
	s := map[string]string{LabelPipeline: p.Name}
	if role != "" {
		s[LabelSparkRole] = role
	}
	return s
}

// componentLabels are the labels, and the selector, of pods of the operator's
// own making.
func componentLabels(p *v1alpha1.SparkPipeline, component string) map[string]string {
	return map[string]string{LabelWorkload: p.Name, LabelComponent: component}
}

// observedLabels are componentLabels of pods that the operator looks at: its cache
// holds them.
func observedLabels(p *v1alpha1.SparkPipeline, component string) map[string]string {
	labels := componentLabels(p, component)
	labels[LabelPipelineNamespace] = p.Namespace
	return labels
}

// identityHash tells pipelines of the same name apart where their children meet
// outside of a namespace: Velero schedules, dashboards, prefixes in a bucket.
func identityHash(p *v1alpha1.SparkPipeline) string {
	sum := sha256.Sum256([]byte(p.Namespace + "/" + p.Name))
	return hex.EncodeToString(sum[:])[:10]
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Defaults are the settings of one install of the operator, from its flags.
type Defaults struct {
	// AgentImage holds the agent: the operator's own image.
	AgentImage string
	// AgentPullPolicy of that image; empty leaves it to Kubernetes.
	AgentPullPolicy corev1.PullPolicy
	// JMXImage holds the JMX exporter's jar at /jmx_prometheus_javaagent.jar.
	JMXImage string
	// VeleroNamespace is where Velero looks for Schedules.
	VeleroNamespace string
	// PrometheusNamespace is where the scrapers of the cluster run. Empty: any
	// namespace may scrape.
	PrometheusNamespace string
	// OperatorNamespace is where the operator runs. Empty: it asks no watch.
	OperatorNamespace string
	// DedicatedNamespaces allows spec.namespace.
	DedicatedNamespaces bool
	// QuotaCeiling bounds what spec.quota may ask for.
	QuotaCeiling QuotaCeiling
	// Guard renders the driver's init container that looks at the checkpoint
	// before every start. Off until the agent in the image has that command.
	Guard bool
	// AgentCommands are the commands that the agent in the image has. A CronJob
	// whose command is not among them is rendered suspended.
	AgentCommands []string
	// Placement maps kinds of nodes to labels and tolerations.
	Placement Placement
}

// QuotaCeiling is the most that one pipeline's quota may be.
type QuotaCeiling struct {
	Pods                 int32
	CPU, Memory, Storage resource.Quantity
}

// Placement maps kinds of nodes to what pods need to get there.
type Placement map[v1alpha1.Capacity]NodeClass

// NodeClass is how pods reach one kind of node.
type NodeClass struct {
	// NodeSelector are labels of such nodes.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations for the taints of such nodes.
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
}

package cluster

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Nodes describes simulated nodes, all alike but for name and zone.
type Nodes struct {
	// Count is how many to create.
	Count int
	// Prefix begins their names, a number from 0 follows. Default "kwok-".
	Prefix string
	// Zones are given in turn as topology.kubernetes.io/zone. Default: no
	// zone label.
	Zones []string
	// Labels are put on every node.
	Labels map[string]string
	// Taints are put on every node.
	Taints []corev1.Taint
	// Capacity of each node. Default: 32 CPUs, 128Gi, 1000 pods.
	Capacity corev1.ResourceList
}

// CreateNodes creates the nodes that are missing, for kwok to simulate, and
// returns when all are Ready. The cluster must run kwok and the controller manager, which takes away
// the taint of a new node.
func (c *Cluster) CreateNodes(ctx context.Context, n Nodes) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	for i := range n.Count {
		node := n.node(i)
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create node %s: %w", node.Name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for i := range n.Count {
		if err := awaitNode(ctx, client, n.node(i).Name); err != nil {
			return err
		}
	}
	return nil
}

func (n Nodes) node(i int) *corev1.Node {
	prefix := n.Prefix
	if prefix == "" {
		prefix = "kwok-"
	}
	capacity := n.Capacity
	if capacity == nil {
		capacity = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("32"),
			corev1.ResourceMemory: resource.MustParse("128Gi"),
			corev1.ResourcePods:   resource.MustParse("1000"),
		}
	}
	name := fmt.Sprintf("%s%d", prefix, i)
	labels := map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}
	if len(n.Zones) > 0 {
		labels[corev1.LabelTopologyZone] = n.Zones[i%len(n.Zones)]
	}
	maps.Copy(labels, n.Labels)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{kwokNodeAnnotation: kwokNodeValue}},
		Spec:       corev1.NodeSpec{Taints: n.Taints},
		Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}
}

// AwaitNode returns when a node is Ready and takes pods.
func (c *Cluster) AwaitNode(ctx context.Context, name string) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return awaitNode(ctx, client, name)
}

func awaitNode(ctx context.Context, client kubernetes.Interface, name string) error {
	for {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && takesPods(node) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for node %s to be ready: %w", name, ctx.Err())
		case <-time.After(readyPoll):
		}
	}
}

// takesPods says whether a node is Ready and free of the taints that keep pods
// off a node until its controllers have seen it.
func takesPods(node *corev1.Node) bool {
	for _, t := range node.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}

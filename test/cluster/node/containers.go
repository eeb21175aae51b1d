package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// KillContainer sends SIGKILL to all processes of a container, which gives it
// no chance to end in order and tells the API server nothing beforehand, as a
// crash does. The pod's status must name the running container.
func (n *Node) KillContainer(ctx context.Context, pod *corev1.Pod, container string) error {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name != container || s.State.Running == nil {
			continue
		}
		id := strings.TrimPrefix(s.ContainerID, "containerd://")
		if _, err := n.ctr(ctx, "tasks", "kill", "--signal", "SIGKILL", "--all", id); err != nil {
			return fmt.Errorf("kill container %s of pod %s/%s: %w", container, pod.Namespace, pod.Name, err)
		}
		return nil
	}
	return fmt.Errorf("kill container %s of pod %s/%s: it does not run", container, pod.Namespace, pod.Name)
}

// Exec runs a command of this machine in the node's network, such as conntrack
// or iptables-save, and returns its output.
func (n *Node) Exec(ctx context.Context, argv ...string) (string, error) {
	return output(ctx, append(slices.Clone(enterNetwork), argv...)...)
}

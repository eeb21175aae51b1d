// Package node runs a Kubernetes node with real containers on this machine:
// containerd, kubelet, kube-proxy, a CNI bridge and CoreDNS, beside the control
// plane of package cluster. It needs Linux and root, and installs the Debian
// packages that it lacks.
//
// All of it lives in a network namespace of its own, joined to the machine by
// one pair of virtual interfaces. The machine's routes lead into it, so that a
// process outside reaches the API server, pods and services by their
// addresses; firewall rules, bridge and pod interfaces are inside and go with
// it. Network policies are not enforced.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"sparkpipeline.dev/operator/test/cluster/cluster"
)

// Name is the name of the one node.
const Name = "node1"

// maxDirLength keeps the sockets below the directory within the 107 bytes of a
// socket's path; kubelet's own are the longest.
const maxDirLength = 60

// Options say how to start the cluster with its node.
type Options struct {
	// Cluster is the control plane; the node sets its Address and Wrap, and
	// takes its Dir, which must be given. Its controller manager and scheduler
	// are always on.
	Cluster cluster.Options
	// Images are paths of image archives to import before the node is ready.
	Images []string
}

// Node is a running cluster with one node.
type Node struct {
	*cluster.Cluster
}

// Start starts a control plane and a node in Options.Cluster.Dir, and returns
// when the node takes pods. There can be one on a machine. On failure nothing
// is left running.
func Start(ctx context.Context, o Options) (*Node, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	if err := InstallPackages(ctx, nodePackages); err != nil {
		return nil, err
	}
	if err := createNetwork(ctx); err != nil {
		return nil, err
	}
	o.Cluster.ControllerManager, o.Cluster.Scheduler = true, true
	o.Cluster.Address = nodeAddress
	o.Cluster.Wrap = wrap(o.Cluster.Binaries)
	c, err := cluster.Start(ctx, o.Cluster)
	if err != nil {
		return nil, errors.Join(err, deleteNetwork(context.WithoutCancel(ctx)))
	}
	n := &Node{Cluster: c}
	if err := n.start(ctx, o.Images); err != nil {
		return nil, errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
	}
	return n, nil
}

func check(o Options) error {
	switch dir := o.Cluster.Dir; {
	case runtime.GOOS != "linux" || os.Geteuid() != 0:
		return errors.New("start node: it needs Linux and root")
	case !filepath.IsAbs(dir):
		return fmt.Errorf("start node: directory %q is not an absolute path", dir)
	case len(dir) > maxDirLength:
		return fmt.Errorf("start node: directory %s is longer than %d bytes, too long for the sockets in it", dir, maxDirLength)
	}
	return nil
}

// wrap enters the network namespace and puts the binaries into the path, where
// containerd looks for its shim. Both commands replace themselves by the next.
func wrap(binaries string) []string {
	return append(slices.Clone(enterNetwork), "env", "PATH="+binaries+":"+os.Getenv("PATH"))
}

// start runs the node's programs one after another.
func (n *Node) start(ctx context.Context, images []string) error {
	for _, step := range []func(context.Context) error{n.startRuntime, n.importPause} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, archive := range images {
		if err := n.ImportImage(ctx, archive); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{n.startKubelet, n.startProxy, n.startDNS} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return n.AwaitNode(ctx, Name)
}

// Attach returns the handle of a cluster with a node that was started in dir,
// whether or not it still runs. It is an error when the cluster has no node.
func Attach(dir string) (*Node, error) {
	c, err := cluster.Attach(dir)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.Components(), runtimeName) {
		return nil, fmt.Errorf("the cluster in %s has no node", dir)
	}
	return &Node{Cluster: c}, nil
}

// path returns a path in the cluster's directory.
func (n *Node) path(elements ...string) string {
	return filepath.Join(append([]string{n.Dir}, elements...)...)
}

// binary returns a command of one of the cluster's programs in the network
// namespace.
func (n *Node) binary(program string, args ...string) []string {
	return append(append(wrap(n.Binaries()), filepath.Join(n.Binaries(), program)), args...)
}

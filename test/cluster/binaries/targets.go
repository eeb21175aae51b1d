// Package binaries builds the programs of a cluster from Go modules and keeps
// them in a cache, because a test must not depend on prebuilt binaries being
// downloadable. The versions are those of the modules under ../modules; a
// changed go.mod, Go toolchain or flag gives a new cache key, and everything
// else is found again without a build.
//
// Ensure is the entry point: it returns one directory that holds every program
// of a group.
package binaries

import (
	"fmt"
	"slices"
	"strings"
)

// Group names a set of programs that are needed together.
type Group string

// The groups, each containing the one before it.
const (
	// Assets is what envtest looks for in KUBEBUILDER_ASSETS.
	Assets Group = "assets"
	// ControlPlane adds what schedules, owns and simulates pods.
	ControlPlane Group = "controlplane"
	// Node adds what runs containers on this machine.
	Node Group = "node"
)

// Groups returns every group, the smallest first.
func Groups() []Group { return []Group{Assets, ControlPlane, Node} }

// ParseGroup returns the group with the given name.
func ParseGroup(name string) (Group, error) {
	if g := Group(name); slices.Contains(Groups(), g) {
		return g, nil
	}
	return "", fmt.Errorf("unknown group %q: allowed are %s, %s, %s", name, Assets, ControlPlane, Node)
}

// target is one program and how it is built.
type target struct {
	name   string
	group  Group
	module string // a directory under ../modules
	pkg    string // import path, or "." for the module's own main
}

const kubernetesModule = "k8s.io/kubernetes"

var targets = []target{
	{"etcd", Assets, "etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", Assets, "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kubectl", Assets, "kubernetes", "k8s.io/kubernetes/cmd/kubectl"},
	{"kube-controller-manager", ControlPlane, "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", ControlPlane, "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kwok", ControlPlane, "kwok", "sigs.k8s.io/kwok/cmd/kwok"},
	{"kubelet", Node, "kubernetes", "k8s.io/kubernetes/cmd/kubelet"},
	{"kube-proxy", Node, "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"},
	{"containerd", Node, "containerd", "github.com/containerd/containerd/v2/cmd/containerd"},
	{"containerd-shim-runc-v2", Node, "containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
	{"ctr", Node, "containerd", "github.com/containerd/containerd/v2/cmd/ctr"},
	{"coredns", Node, "coredns", "."},
	{"pause", Node, "pause", "."},
}

// targetsOf returns the programs of a group, those of smaller groups included.
func targetsOf(group Group) []target {
	wanted := Groups()[:slices.Index(Groups(), group)+1]
	var out []target
	for _, t := range targets {
		if slices.Contains(wanted, t.group) {
			out = append(out, t)
		}
	}
	return out
}

// ldflags strips the binary. Kubernetes gets its version besides: discovery
// and kubectl read it, and an unset one is taken for a very old server.
func ldflags(t target, kubernetes string) string {
	if t.module != "kubernetes" {
		return "-s -w"
	}
	parts := strings.SplitN(strings.TrimPrefix(kubernetes, "v"), ".", 3)
	const x = " -X k8s.io/component-base/version."
	return "-s -w" + x + "gitVersion=" + kubernetes + x + "gitMajor=" + parts[0] + x + "gitMinor=" + parts[1] + x + "gitTreeState=clean"
}

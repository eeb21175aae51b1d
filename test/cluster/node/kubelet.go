package node

import (
	"context"
	"fmt"
	"net"

	"sparkpipeline.dev/operator/test/cluster/cluster"
)

const (
	kubeletHealthPort = "10248"
	proxyHealthPort   = "10256"
)

// kubeletConfig is kubelet's configuration: %[1]s is the cluster's directory,
// %[2]s the node's address, %[3]s to %[5]s the certificate, its key and the
// authority. It pulls nothing from the machine's own resolver, and keeps what
// it would write to /var under the directory.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[5]s}
authorization: {mode: Webhook}
tlsCertFile: %[3]s
tlsPrivateKeyFile: %[4]s
address: %[2]s
healthzBindAddress: %[2]s
containerRuntimeEndpoint: unix://%[1]s/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: ` + cgroupRoot + `
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
clusterDNS: [` + dnsAddress + `]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: %[1]s/pods
volumePluginDir: %[1]s/volume-plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
`

// startKubelet starts kubelet, which registers the node.
func (n *Node) startKubelet(ctx context.Context) error {
	if err := createCgroup(); err != nil {
		return err
	}
	address := nodeAddress.String()
	cred, err := n.Issue("kubelet", "system:node:"+Name, "system:nodes", []net.IP{nodeAddress.AsSlice()}, []string{Name})
	if err != nil {
		return err
	}
	if err := n.write("kubelet.yaml", fmt.Sprintf(kubeletConfig, n.Dir, address, cred.Cert, cred.Key, cred.CA)); err != nil {
		return err
	}
	return n.Run(ctx, cluster.Component{
		Name:   "kubelet",
		Health: "http://" + net.JoinHostPort(address, kubeletHealthPort) + "/healthz",
		Argv: n.binary("kubelet", "--config="+n.path("kubelet.yaml"), "--kubeconfig="+cred.Kubeconfig,
			"--hostname-override="+Name, "--node-ip="+address, "--root-dir="+n.path("kubelet"), "--cert-dir="+n.path("pki", "kubelet")),
	})
}

// startProxy starts kube-proxy, which makes services reachable.
func (n *Node) startProxy(ctx context.Context) error {
	cred, err := n.Issue("proxy", "system:kube-proxy", "", nil, nil)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(nodeAddress.String(), proxyHealthPort)
	return n.Run(ctx, cluster.Component{
		Name:   "kube-proxy",
		Health: "http://" + address + "/livez",
		Argv: n.binary("kube-proxy", "--kubeconfig="+cred.Kubeconfig, "--hostname-override="+Name,
			"--proxy-mode=iptables", "--cluster-cidr="+podRange, "--healthz-bind-address="+address,
			"--metrics-bind-address="+net.JoinHostPort(nodeAddress.String(), "10249"),
			// A namespace cannot change the machine's limit of connections.
			"--conntrack-max-per-core=0"),
	})
}

package cluster

import (
	"net"
	"path/filepath"
)

// The annotation of the nodes that kwok simulates.
const (
	kwokNodeAnnotation = "kwok.x-k8s.io/node"
	kwokNodeValue      = "fake"
)

// serviceRange is the range of cluster IPs; its first address is the
// Service kubernetes.
const (
	serviceRange = "10.96.0.0/16"
	serviceIP    = "10.96.0.1"
)

// ports are the listening ports of a control plane.
type ports struct{ etcd, etcdPeer, api, controllerManager, scheduler, kwok string }

func (c *Cluster) etcd(o Options, p ports) Component {
	client, peer := "http://"+net.JoinHostPort(o.host(), p.etcd), "http://"+net.JoinHostPort(o.host(), p.etcdPeer)
	return Component{Name: "etcd", Health: client + "/health", Argv: c.argv(o, "etcd",
		"--name=test", "--data-dir="+filepath.Join(c.Dir, "etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer,
		// Nothing here has to survive a crash of the machine.
		"--unsafe-no-fsync", "--log-level=warn")}
}

func (c *Cluster) apiServer(o Options, p ports, pki *pki) Component {
	args := []string{
		"--etcd-servers=http://" + net.JoinHostPort(o.host(), p.etcd),
		"--bind-address=" + o.host(), "--advertise-address=" + o.host(), "--secure-port=" + p.api,
		"--service-cluster-ip-range=" + serviceRange,
		"--tls-cert-file=" + pki.file("apiserver.crt"), "--tls-private-key-file=" + pki.file("apiserver.key"),
		"--client-ca-file=" + pki.file("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki.file("sa.pub"),
		"--service-account-signing-key-file=" + pki.file("sa.key"),
		"--kubelet-client-certificate=" + pki.file("admin.crt"), "--kubelet-client-key=" + pki.file("admin.key"),
		"--kubelet-certificate-authority=" + pki.file("ca.crt"),
		// A node's name resolves nowhere; its address always works.
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
	}
	if !o.Address.IsValid() {
		// An endpoint on loopback is refused by validation.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	if !o.ControllerManager {
		// Nobody would make the service accounts that this plugin asks for.
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	if o.AuditPolicy != "" {
		args = append(args, "--audit-policy-file="+filepath.Join(c.Dir, auditPolicyFile),
			"--audit-log-path="+c.AuditLog, "--audit-log-maxsize=2000")
	}
	return Component{
		Name:   "kube-apiserver",
		Health: "https://" + net.JoinHostPort(o.host(), p.api) + "/readyz",
		Argv:   c.argv(o, "kube-apiserver", append(args, o.ExtraAPIServerArgs...)...),
	}
}

func (c *Cluster) controllerManager(o Options, p ports, pki *pki) Component {
	return Component{
		Name:   "kube-controller-manager",
		Health: "https://" + net.JoinHostPort(o.host(), p.controllerManager) + "/healthz",
		Argv: c.argv(o, "kube-controller-manager", append([]string{
			"--kubeconfig=" + c.kubeconfigFile("controller-manager"),
			"--bind-address=" + o.host(), "--secure-port=" + p.controllerManager,
			"--cert-dir=" + filepath.Join(c.Dir, "pki", "controller-manager"),
			"--service-account-private-key-file=" + pki.file("sa.key"), "--root-ca-file=" + pki.file("ca.crt"),
			"--cluster-signing-cert-file=" + pki.file("ca.crt"), "--cluster-signing-key-file=" + pki.file("ca.key"),
			"--use-service-account-credentials", "--controllers=*", "--allocate-node-cidrs=false", "--leader-elect=false",
			// With the default of 20 a second, starting takes five seconds more.
			"--kube-api-qps=1000", "--kube-api-burst=1000",
		}, o.ExtraControllerManagerArgs...)...),
	}
}

func (c *Cluster) scheduler(o Options, p ports) Component {
	return Component{
		Name:   "kube-scheduler",
		Health: "https://" + net.JoinHostPort(o.host(), p.scheduler) + "/readyz",
		Argv: c.argv(o, "kube-scheduler",
			"--kubeconfig="+c.kubeconfigFile("scheduler"),
			"--bind-address="+o.host(), "--secure-port="+p.scheduler,
			"--cert-dir="+filepath.Join(c.Dir, "pki", "scheduler"), "--leader-elect=false",
			"--kube-api-qps=1000", "--kube-api-burst=1000"),
	}
}

func (c *Cluster) kwok(o Options, p ports) Component {
	address := net.JoinHostPort(o.host(), p.kwok)
	args := []string{
		"--kubeconfig=" + c.kubeconfigFile("kwok"), "--server-address=" + address,
		"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=" + kwokNodeAnnotation + "=" + kwokNodeValue,
		"--node-lease-duration-seconds=40", "--cidr=10.240.0.1/16",
		"--config=" + filepath.Join(c.Dir, kwokStagesFile),
	}
	for _, f := range o.KwokConfigs {
		args = append(args, "--config="+f)
	}
	return Component{Name: "kwok", Health: "http://" + address + "/healthz", Argv: c.argv(o, "kwok", args...)}
}

// argv is a command of the cluster's own binaries, behind the wrapper that the
// options ask for.
func (c *Cluster) argv(o Options, program string, args ...string) []string {
	argv := append([]string{}, o.Wrap...)
	argv = append(argv, filepath.Join(c.state.Binaries, program))
	return append(argv, args...)
}

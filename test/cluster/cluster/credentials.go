package cluster

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

const kwokStagesFile = "kwok-stages.yaml"

// kwokStages are the state changes that kwok plays on nodes and pods.
//
//go:embed kwok-stages.yaml
var kwokStages []byte

// users are those who get a certificate and a kubeconfig: one each, for the
// audit log to tell their requests apart.
var users = []struct{ name, user, group string }{
	{"admin", "admin", "system:masters"},
	{"controller-manager", "system:kube-controller-manager", ""},
	{"scheduler", "system:kube-scheduler", ""},
	{"kwok", "kwok", "system:masters"},
}

// writeCredentials makes the server's certificate and a kubeconfig for each
// user. The certificate authority and the key pair of service accounts are
// kept when the directory has them: tokens that are stored stay valid.
func (c *Cluster) writeCredentials(o Options, p ports) (*pki, error) {
	pki, err := openPKI(filepath.Join(c.Dir, "pki"))
	if err != nil {
		return nil, err
	}
	ips := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(serviceIP), net.ParseIP(o.host())}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if err := pki.issue("apiserver", "kube-apiserver", "", ips, names); err != nil {
		return nil, err
	}
	server := "https://" + net.JoinHostPort(o.host(), p.api)
	for _, u := range users {
		if err := pki.issue(u.name, u.user, u.group, nil, nil); err != nil {
			return nil, err
		}
		if err := pki.writeCertificateKubeconfig(c.kubeconfigFile(u.name), server, u.name); err != nil {
			return nil, err
		}
	}
	c.Config, err = loadConfig(c.Kubeconfig)
	return pki, err
}

// Credentials are the files of one user.
type Credentials struct{ Cert, Key, CA, Kubeconfig string }

// Issue writes a certificate, valid as client and server, and a kubeconfig for
// one more user under the given file name; group is the user's group.
func (c *Cluster) Issue(name, user, group string, ips []net.IP, dns []string) (Credentials, error) {
	pki, err := openPKI(filepath.Join(c.Dir, "pki"))
	if err != nil {
		return Credentials{}, err
	}
	if err := pki.issue(name, user, group, ips, dns); err != nil {
		return Credentials{}, err
	}
	out := Credentials{pki.file(name + ".crt"), pki.file(name + ".key"), pki.file("ca.crt"), c.kubeconfigFile(name)}
	return out, pki.writeCertificateKubeconfig(out.Kubeconfig, c.Config.Host, name)
}

// writeFiles writes what the programs read besides certificates.
func (c *Cluster) writeFiles(o Options) error {
	files := map[string][]byte{kwokStagesFile: kwokStages}
	if o.AuditPolicy != "" {
		files[auditPolicyFile] = []byte(o.AuditPolicy)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(c.Dir, name), data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

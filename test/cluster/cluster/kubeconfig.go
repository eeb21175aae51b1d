package cluster

import (
	"context"
	"fmt"
	"os"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenLifetime is how long the token of a written kubeconfig is valid, in
// seconds. The API server may shorten it.
const tokenLifetime = 24 * 60 * 60

// writeKubeconfig writes a kubeconfig, with everything embedded, for a user.
func writeKubeconfig(path, server string, ca []byte, user *clientcmdapi.AuthInfo) error {
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: server, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"user": user},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "user"}},
		CurrentContext: "test",
	}, path)
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// writeCertificateKubeconfig writes <name>.kubeconfig for the certificate that
// the pki issued under that name.
func (p *pki) writeCertificateKubeconfig(path, server, name string) error {
	var data [3][]byte
	for i, f := range []string{"ca.crt", name + ".crt", name + ".key"} {
		var err error
		if data[i], err = os.ReadFile(p.file(f)); err != nil {
			return fmt.Errorf("read certificate of %s: %w", name, err)
		}
	}
	return writeKubeconfig(path, server, data[0], &clientcmdapi.AuthInfo{
		ClientCertificateData: data[1],
		ClientKeyData:         data[2],
	})
}

// ServiceAccountKubeconfig writes a kubeconfig to path that acts as a service
// account, by a token of at most 24 hours. The service account must exist.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name, path string) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	seconds := int64(tokenLifetime)
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}},
		metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("request token of service account %s/%s: %w", namespace, name, err)
	}
	return writeKubeconfig(path, c.Config.Host, c.Config.CAData, &clientcmdapi.AuthInfo{Token: token.Status.Token})
}

// ServiceAccountConfig returns a client configuration that acts as a service
// account, by a token of at most 24 hours.
func (c *Cluster) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	f, err := os.CreateTemp(c.Dir, "serviceaccount-*.kubeconfig")
	if err != nil {
		return nil, fmt.Errorf("create kubeconfig: %w", err)
	}
	f.Close()
	defer os.Remove(f.Name())
	if err := c.ServiceAccountKubeconfig(ctx, namespace, name, f.Name()); err != nil {
		return nil, err
	}
	return loadConfig(f.Name())
}

func loadConfig(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w", err)
	}
	return config, nil
}

// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

const (
	managerProcess = "manager"
	standInProcess = "stand-in"

	systemNamespace = "sparkpipeline-system"
	serviceAccount  = "sparkpipeline-operator"
)

// Install applies config/default. The Deployment is scaled to nothing: no kubelet
// runs here, so StartManager runs the manager as a process instead, with the
// token and so the rights of the same ServiceAccount.
func (w *World) Install(ctx context.Context) error {
	if _, err := w.Kubectl(ctx, "apply", "--server-side", "-k", "config/default"); err != nil {
		return err
	}
	_, err := w.Kubectl(ctx, "-n", systemNamespace, "scale", "deployment/sparkpipeline-operator", "--replicas=0")
	return err
}

// InstallAsPods applies config/default as it is, one replica of it, and waits until
// the manager's pod is ready: the image has to be on the node.
func (w *World) InstallAsPods(ctx context.Context) error {
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", "config/default"},
		{"-n", systemNamespace, "scale", "deployment/sparkpipeline-operator", "--replicas=1"},
		{"-n", systemNamespace, "rollout", "status", "deployment/sparkpipeline-operator", "--timeout=120s"},
	} {
		if _, err := w.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// StartManager runs bin/manager under the ServiceAccount of config/default.
func (w *World) StartManager(ctx context.Context, args ...string) error {
	kubeconfig, err := w.operatorKubeconfig(ctx)
	if err != nil {
		return err
	}
	probes, err := freeAddress()
	if err != nil {
		return err
	}
	args = append([]string{
		"--leader-election-namespace", systemNamespace, "--metrics-bind-address", "127.0.0.1:0",
		"--health-probe-bind-address", probes, "--agent-image", "sparkpipeline-operator:dev",
		// Simulated pods have addresses at which nobody of ours answers.
		"--read-watch=false",
	}, args...)
	err = w.spawn(managerProcess, []string{"KUBECONFIG=" + kubeconfig}, filepath.Join(w.Root, "bin", "manager"), args...)
	if err != nil {
		return err
	}
	return Eventually(ctx, time.Minute, "the manager is ready", func() error {
		resp, err := http.Get("http://" + probes + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// StopManager ends the manager in order.
func (w *World) StopManager(ctx context.Context) error { return w.stop(ctx, managerProcess) }

// operatorKubeconfig writes a kubeconfig with a token of the operator's
// ServiceAccount and answers with its path.
func (w *World) operatorKubeconfig(ctx context.Context) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 3600)}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: serviceAccount}}
	if err := w.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("get a token of the operator's service account: %w", err)
	}
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: w.Config.Host, CertificateAuthorityData: w.Config.CAData, CertificateAuthority: w.Config.CAFile}
	config.AuthInfos["u"] = &api.AuthInfo{Token: request.Status.Token}
	config.Contexts["c"] = &api.Context{Cluster: "c", AuthInfo: "u", Namespace: systemNamespace}
	config.CurrentContext = "c"
	path := filepath.Join(w.Dir, "operator.kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// freeAddress finds a port on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// StartStandIn runs the stand-in for kubeflow's controller.
func (w *World) StartStandIn(ctx context.Context, args ...string) error {
	program := filepath.Join(w.Dir, "stand-in")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./test/kubeflow/cmd/standin")
	build.Dir, build.Stdout, build.Stderr = w.Root, w.Log, w.Log
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the stand-in: %w", err)
	}
	if err := w.spawn(standInProcess, []string{"KUBECONFIG=" + w.Kubeconfig}, program, args...); err != nil {
		return err
	}
	return Eventually(ctx, time.Minute, "the SparkApplication API is there", func() error {
		_, err := w.Kubectl(ctx, "get", "sparkapplications", "-A")
		return err
	})
}

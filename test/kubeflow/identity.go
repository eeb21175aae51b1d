// SPDX-License-Identifier: Apache-2.0

package kubeflow

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	submitterNamespace = "spark-operator"
	submitterName      = "spark-operator-controller"
)

// WriteSubmitterKubeconfig makes the ServiceAccount that spark-submit acts as, with
// the rights that it needs in all namespaces, and writes a kubeconfig with a token
// of it to a file. Spark's client takes such a token; of client certificates it
// takes only those with RSA keys.
func WriteSubmitterKubeconfig(ctx context.Context, config *rest.Config, file string) error {
	c, err := client.New(config, client.Options{})
	if err != nil {
		return fmt.Errorf("make the identity of spark-submit: %w", err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: submitterNamespace, Name: submitterName}}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: submitterNamespace}}, account, submitterRole(), submitterBinding(),
	} {
		if err := c.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the identity of spark-submit: %w", err)
		}
	}
	const validSeconds = 24 * 60 * 60
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](validSeconds)}}
	if err := c.SubResource("token").Create(ctx, account, request); err != nil {
		return fmt.Errorf("get a token for spark-submit: %w", err)
	}
	if len(config.CAData) == 0 && config.CAFile == "" {
		return errors.New("write the kubeconfig of spark-submit: the cluster's certificate authority is not known")
	}
	out := api.NewConfig()
	out.Clusters[submitterName] = &api.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData, CertificateAuthority: config.CAFile}
	out.AuthInfos[submitterName] = &api.AuthInfo{Token: request.Status.Token}
	out.Contexts[submitterName] = &api.Context{Cluster: submitterName, AuthInfo: submitterName}
	out.CurrentContext = submitterName
	if err := clientcmd.WriteToFile(*out, file); err != nil {
		return fmt.Errorf("write the kubeconfig of spark-submit: %w", err)
	}
	return nil
}

func submitterRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: submitterName},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"pods", "services", "configmaps", "persistentvolumeclaims"},
			Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"},
		}},
	}
}

func submitterBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: submitterName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: submitterName},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: submitterNamespace, Name: submitterName}},
	}
}

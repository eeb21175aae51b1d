// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// ClusterRoles that come with the install. The operator may bind exactly these
// and holds none of their rights.
const (
	roleDriver = "sparkpipeline-driver"
	roleAgent  = "sparkpipeline-agent"
)

// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=sparkpipeline-driver;sparkpipeline-agent,verbs=bind

// accounts are who the pods are: one for each kind of pod, so that none has a
// right that it does not need. Executors and history server have none at all; they
// are there for the identity of the cloud.
func accounts(in Input) ([]Object, error) {
	if w := in.Pipeline.Spec.ObjectStore.Credentials.WorkloadIdentity; w != nil {
		annotations := map[string]string{}
		for k, v := range w.Annotations {
			annotations[k] = string(v)
		}
		if err := checkNames("spec.objectStore.credentials.workloadIdentity.annotations", apivalidation.ValidateAnnotations(annotations, nil)); err != nil {
			return nil, err
		}
	}
	var out []Object
	for _, role := range []string{"driver", "executor", "agent", "history"} {
		if role == "history" && in.Pipeline.Spec.HistoryServer.State == v1alpha1.StateDisabled {
			continue
		}
		a := &corev1.ServiceAccount{ObjectMeta: named(in, role), AutomountServiceAccountToken: new(false)}
		if w := in.Pipeline.Spec.ObjectStore.Credentials.WorkloadIdentity; w != nil && role != "history" {
			a.Annotations = map[string]string{}
			for k, v := range w.Annotations {
				a.Annotations[k] = string(v)
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// bindings give the driver and the agent the rights of the shipped ClusterRoles,
// in the workload's namespace alone.
func bindings(in Input) ([]Object, error) {
	bind := func(role, clusterRole string) Object {
		meta := named(in, role)
		return &rbacv1.RoleBinding{ObjectMeta: meta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: meta.Name, Namespace: meta.Namespace}}}
	}
	return []Object{bind("driver", roleDriver), bind("agent", roleAgent)}, nil
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Waves of apply. A later wave builds on the ones before it.
const (
	waveNamespace = iota
	waveIdentity  // service accounts, roles, policies, quota
	waveStorage   // claims, certificates
	waveRest      // all that may come while the application starts
)

type child struct {
	name    string   // names the source file and the golden file
	owns    []Object // kinds to watch and to prune
	wave    int
	durable bool // holds data: removed only if the user asked for deletion
	once    bool // posted one time, never applied
	adopt   bool // may be there first, with our labels: GitOps puts things into a namespace before us
	aside   bool // tells of the pipeline, which is ready or not without it
	build   func(Input) ([]Object, error)
}

func owns(o ...Object) []Object { return o }

// kind stands for a kind that is written untyped.
func kind(gvk schema.GroupVersionKind) Object {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	return o
}

// children lists every child in the order of apply. Pruning and deletion run it
// backwards.
var children = []child{
	{name: "namespace", owns: owns(&corev1.Namespace{}), wave: waveNamespace, durable: true, adopt: true, build: namespace},

	{name: "quota", owns: owns(&corev1.ResourceQuota{}), wave: waveIdentity, build: quota},
	{name: "limits", owns: owns(&corev1.LimitRange{}), wave: waveIdentity, build: limits},
	{name: "accounts", owns: owns(&corev1.ServiceAccount{}), wave: waveIdentity, build: accounts},
	{name: "bindings", owns: owns(&rbacv1.RoleBinding{}), wave: waveIdentity, build: bindings},
	{name: "secret", owns: owns(&corev1.Secret{}), wave: waveIdentity, once: true, build: secret},
	{name: "netpol", owns: owns(&networkingv1.NetworkPolicy{}), wave: waveIdentity, build: netpol},

	// The agent makes the snapshots; they are the pipeline's and go when their deletion is asked for.
	{name: "storage", owns: owns(&corev1.PersistentVolumeClaim{}, kind(SnapshotKind)), wave: waveStorage, durable: true, build: storage},
	// Pods of the application and of jobs mount these, so they come before them.
	{name: "agentconfig", owns: owns(&corev1.ConfigMap{}), wave: waveStorage, build: agentConfig},
	{name: "guard", owns: owns(&corev1.ConfigMap{}), wave: waveStorage, build: guard},
	{name: "jmx", owns: owns(&corev1.ConfigMap{}), wave: waveStorage, build: jmx},
	{name: "certificate", owns: owns(kind(issuerKind), kind(CertificateKind)), wave: waveStorage, build: certificate},

	{name: "services", owns: owns(&corev1.Service{}), wave: waveRest, build: services},
	{name: "hpa", owns: owns(&autoscalingv2.HorizontalPodAutoscaler{}), wave: waveRest, build: hpa},
	{name: "pdb", owns: owns(&policyv1.PodDisruptionBudget{}), wave: waveRest, build: pdb},
	{name: "history", owns: owns(&appsv1.Deployment{}), wave: waveRest, build: history},
	{name: "vpa", owns: owns(kind(vpaKind)), wave: waveRest, build: vpa},
	{name: "monitors", owns: owns(&monitoringv1.ServiceMonitor{}, &monitoringv1.PodMonitor{}), wave: waveRest, build: monitors},
	{name: "alerts", owns: owns(&monitoringv1.PrometheusRule{}), wave: waveRest, build: alerts},
	{name: "alertmanager", owns: owns(&monitoringv1alpha1.AlertmanagerConfig{}), wave: waveRest, build: alertmanager},
	{name: "dashboard", owns: owns(&corev1.ConfigMap{}), wave: waveRest, build: dashboard},
	{name: "cronjobs", owns: owns(&batchv1.CronJob{}), wave: waveRest, build: cronjobs},
	{name: "check", owns: owns(&batchv1.Job{}), wave: waveRest, aside: true, build: check},
	{name: "watch", owns: owns(&appsv1.Deployment{}), wave: waveRest, aside: true, build: watch},
	{name: "velero", owns: owns(kind(veleroKind)), wave: waveRest, build: velero},
	{name: "revision", owns: owns(&appsv1.ControllerRevision{}), wave: waveRest, build: revision},
}

// Kind is a kind of children.
type Kind struct {
	// Name of the registry entry.
	Name    string
	Object  Object
	Durable bool
	Once    bool
	Wave    int
}

// Kinds lists the kinds of all children, in the order of apply. The
// SparkApplication comes where its wave would be: after storage.
func Kinds() []Kind {
	var out []Kind
	for _, c := range children {
		for _, o := range c.owns {
			out = append(out, Kind{Name: c.name, Object: o, Durable: c.durable, Once: c.once, Wave: c.wave})
		}
	}
	return out
}

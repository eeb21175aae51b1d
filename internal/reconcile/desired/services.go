// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete

// services are the driver's UI and metrics, all pods of Spark by name, and the
// history server.
func services(in Input) ([]Object, error) {
	p := in.Pipeline
	web := service(in, "web", sparkSelector(p, "driver"), port("web", portUI))
	web.Labels = map[string]string{LabelComponent: "driver"}
	pods := service(in, "pods", sparkSelector(p, ""), port("blockmanager", portBlockManager))
	pods.Spec.ClusterIP = corev1.ClusterIPNone
	pods.Spec.PublishNotReadyAddresses = true
	out := []Object{web, pods}
	if p.Spec.HistoryServer.State == v1alpha1.StateEnabled {
		out = append(out, service(in, "history", componentLabels(p, componentHistory), port("web", portHistory)))
	}
	return out, nil
}

func service(in Input, role string, selector map[string]string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: named(in, role), Spec: corev1.ServiceSpec{Selector: selector, Ports: ports}}
}

func port(name string, number int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, TargetPort: intstr.FromInt32(number), Protocol: corev1.ProtocolTCP}
}

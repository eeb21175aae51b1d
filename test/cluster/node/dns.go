package node

import (
	"context"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"sparkpipeline.dev/operator/test/cluster/cluster"
)

const (
	dnsPort       = 5353
	dnsHealthPort = "8181"
)

// dnsConfig is CoreDNS's configuration: %[1]d its port, %[2]s the node's
// address, %[3]s the port of its health, %[4]s its kubeconfig. Names outside of
// the cluster are not resolved.
const dnsConfig = `.:%[1]d {
  bind %[2]s
  errors
  health %[2]s:%[3]s
  cache 5
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig %[4]s
    pods insecure
  }
}
`

// startDNS runs CoreDNS beside the containers and gives it the Service that
// pods ask.
func (n *Node) startDNS(ctx context.Context) error {
	cred, err := n.Issue("coredns", "coredns", "system:masters", nil, nil)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(dnsConfig, dnsPort, nodeAddress, dnsHealthPort, cred.Kubeconfig)
	if err := n.write("Corefile", config); err != nil {
		return err
	}
	err = n.Run(ctx, cluster.Component{
		Name:   "coredns",
		Health: "http://" + net.JoinHostPort(nodeAddress.String(), dnsHealthPort) + "/health",
		Argv:   n.binary("coredns", "-conf="+n.path("Corefile")),
	})
	if err != nil {
		return err
	}
	return n.Expose(ctx, Exposure{
		Namespace: metav1.NamespaceSystem, Name: "kube-dns", ClusterIP: dnsAddress, Address: nodeAddress.String(),
		Ports: []ExposedPort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, Target: dnsPort},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, Target: dnsPort},
		},
	})
}

// Exposure is a Service for a process that is no pod, such as a webhook server
// under test on this machine.
type Exposure struct {
	Namespace, Name string
	// ClusterIP is the service's address; empty means any.
	ClusterIP string
	// Address is where the process listens. HostAddress reaches this machine.
	Address string
	Ports   []ExposedPort
}

// ExposedPort maps a port of the service to a port of the process.
type ExposedPort struct {
	Name         string
	Protocol     corev1.Protocol
	Port, Target int32
}

// Expose creates the service and its endpoints; those that exist are kept as
// they are.
func (n *Node) Expose(ctx context.Context, e Exposure) error {
	client, err := kubernetes.NewForConfig(n.Config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	meta := metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: e.ClusterIP}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  meta,
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{e.Address}}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: e.Name}
	for _, p := range e.Ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &p.Target})
	}
	_, err = client.CoreV1().Services(e.Namespace).Create(ctx, service, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create service %s/%s: %w", e.Namespace, e.Name, err)
	}
	_, err = client.DiscoveryV1().EndpointSlices(e.Namespace).Create(ctx, slice, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create endpoints of service %s/%s: %w", e.Namespace, e.Name, err)
	}
	return nil
}

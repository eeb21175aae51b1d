// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch

// netpol closes the pods in: nothing comes in or goes out but the flows that a
// pipeline has. In a dedicated namespace everything is closed, in a shared one our
// own pods.
func netpol(in Input) ([]Object, error) {
	p := in.Pipeline
	if p.Spec.Network.Policy == v1alpha1.NetworkDisabled {
		return nil, nil
	}
	driver, executor := sparkSelector(p, "driver"), sparkSelector(p, "executor")
	store, err := toObjectStore(p)
	if err != nil {
		return nil, err
	}
	data := append(slices.Concat(toDNS(), store, toKafka(p)), toExtra(p)...)
	api := toAPIServers(in.Facts.APIServers)
	scrape := fromScrapers(in)

	out := []Object{
		policy(in, "driver", driver,
			append([]networkingv1.NetworkPolicyIngressRule{
				{From: peers(executor), Ports: ports(portDriver, portBlockManager)},
			}, scrape(driverPorts(p)...)...),
			append(slices.Concat(data, api), networkingv1.NetworkPolicyEgressRule{To: peers(executor), Ports: ports(portBlockManager)})),
		policy(in, "executor", executor,
			append([]networkingv1.NetworkPolicyIngressRule{
				{From: peers(driver, executor), Ports: ports(portBlockManager)},
			}, scrape(executorPorts(p)...)...),
			append(slices.Clone(data),
				networkingv1.NetworkPolicyEgressRule{To: peers(driver), Ports: ports(portDriver, portBlockManager)},
				networkingv1.NetworkPolicyEgressRule{To: peers(executor), Ports: ports(portBlockManager)})),
		policy(in, "agent", componentLabels(p, componentAgent), nil, slices.Concat(data, api)),
	}
	if watches(in) {
		out = append(out, policy(in, "watch", componentLabels(p, componentWatch), append(scrape(PortWatch), fromOperator(in, PortWatch)...), data))
	}
	if p.Spec.HistoryServer.State == v1alpha1.StateEnabled {
		out = append(out, policy(in, "history", componentLabels(p, componentHistory), nil, nil))
	}
	if p.Spec.Namespace != "" {
		out = append(out, policy(in, "default", nil, nil, nil))
	}
	return out, nil
}

// policy closes the selected pods in both directions but for the given rules.
func policy(in Input, role string, selector map[string]string, ingress []networkingv1.NetworkPolicyIngressRule, egress []networkingv1.NetworkPolicyEgressRule) Object {
	return &networkingv1.NetworkPolicy{ObjectMeta: named(in, role), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: selector},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress:     ingress, Egress: egress,
	}}
}

func peers(selectors ...map[string]string) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	for _, s := range selectors {
		out = append(out, networkingv1.NetworkPolicyPeer{PodSelector: selects(s)})
	}
	return out
}

func ports(numbers ...int32) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for _, n := range numbers {
		out = append(out, networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(n))})
	}
	return out
}

// driverPorts are where the driver is looked at: the UI serves the metrics too.
func driverPorts(p *v1alpha1.SparkPipeline) []int32 {
	return append([]int32{portUI}, executorPorts(p)...)
}

func executorPorts(p *v1alpha1.SparkPipeline) []int32 {
	if p.Spec.Monitoring.JMX == v1alpha1.JMXDisabled {
		return nil
	}
	return []int32{portJMX}
}

// fromScrapers lets the cluster's Prometheus in, from its namespace if the admin
// named it.
func fromScrapers(in Input) func(numbers ...int32) []networkingv1.NetworkPolicyIngressRule {
	return func(numbers ...int32) []networkingv1.NetworkPolicyIngressRule {
		if len(numbers) == 0 {
			return nil
		}
		anywhere := &metav1.LabelSelector{}
		if ns := in.Defaults.PrometheusNamespace; ns != "" {
			anywhere = selects(map[string]string{corev1.LabelMetadataName: ns})
		}
		return []networkingv1.NetworkPolicyIngressRule{{
			From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: anywhere}}, Ports: ports(numbers...)}}
	}
}

// fromOperator lets the operator in, which asks the watch now and then.
func fromOperator(in Input, numbers ...int32) []networkingv1.NetworkPolicyIngressRule {
	ns := in.Defaults.OperatorNamespace
	if ns == "" {
		return nil
	}
	return []networkingv1.NetworkPolicyIngressRule{{Ports: ports(numbers...), From: []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: selects(map[string]string{corev1.LabelMetadataName: ns}),
		PodSelector:       selects(map[string]string{labelName: ManagedBy})}}}}
}

func toDNS() []networkingv1.NetworkPolicyEgressRule {
	dns := intstr.FromInt32(53)
	return []networkingv1.NetworkPolicyEgressRule{{
		To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
		Ports: []networkingv1.NetworkPolicyPort{
			{Protocol: new(corev1.ProtocolUDP), Port: &dns}, {Protocol: new(corev1.ProtocolTCP), Port: &dns}},
	}}
}

// linkLocal holds the addresses from which clouds hand out credentials of the
// node. No pod of a pipeline has business there.
var linkLocal = map[string]string{"0.0.0.0/0": "169.254.0.0/16", "::/0": "fe80::/10"}

// toObjectStore opens the ranges of the spec, or, without any, everything but
// link-local addresses, on the store's port.
func toObjectStore(p *v1alpha1.SparkPipeline) ([]networkingv1.NetworkPolicyEgressRule, error) {
	port := int32(443)
	if endpoint := p.Spec.ObjectStore.Endpoint; endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil {
			return nil, &InvalidError{Field: "spec.objectStore.endpoint", Found: strconv.Quote(endpoint), Allowed: "an address such as https://minio.example.com:9000"}
		}
		switch {
		case u.Port() != "":
			n, err := strconv.ParseUint(u.Port(), 10, 16)
			if err != nil {
				return nil, &InvalidError{Field: "spec.objectStore.endpoint", Found: strconv.Quote(endpoint), Allowed: "a port from 1 to 65535"}
			}
			port = int32(n)
		case u.Scheme == "http":
			port = 80
		}
	}
	var to []networkingv1.NetworkPolicyPeer
	for _, cidr := range p.Spec.Network.Egress.ObjectStore {
		to = append(to, block(string(cidr)))
	}
	if to == nil {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			b := block(all)
			b.IPBlock.Except = []string{linkLocal[all]}
			to = append(to, b)
		}
	}
	return []networkingv1.NetworkPolicyEgressRule{{To: to, Ports: ports(port)}}, nil
}

// toKafka opens the ranges of the spec on the brokers' ports; without ranges it is
// closed.
func toKafka(p *v1alpha1.SparkPipeline) []networkingv1.NetworkPolicyEgressRule {
	ranges := p.Spec.Network.Egress.Kafka
	if p.Spec.Sources.Kafka == nil || len(ranges) == 0 {
		return nil
	}
	var numbers []int32
	for _, server := range strings.Split(p.Spec.Sources.Kafka.BootstrapServers, ",") {
		_, text, err := net.SplitHostPort(server)
		if err != nil {
			continue // The schema has a pattern for it.
		}
		if n, err := strconv.ParseUint(text, 10, 16); err == nil && n > 0 && !slices.Contains(numbers, int32(n)) {
			numbers = append(numbers, int32(n))
		}
	}
	if len(numbers) == 0 {
		return nil // A rule without ports would open all of them.
	}
	var to []networkingv1.NetworkPolicyPeer
	for _, cidr := range ranges {
		to = append(to, block(string(cidr)))
	}
	return []networkingv1.NetworkPolicyEgressRule{{To: to, Ports: ports(numbers...)}}
}

func toExtra(p *v1alpha1.SparkPipeline) []networkingv1.NetworkPolicyEgressRule {
	var out []networkingv1.NetworkPolicyEgressRule
	for _, extra := range p.Spec.Network.Egress.Extra {
		var numbers []int32
		for _, n := range extra.Ports {
			numbers = append(numbers, int32(n))
		}
		out = append(out, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{block(string(extra.CIDR))}, Ports: ports(numbers...)})
	}
	return out
}

// toAPIServers opens the addresses that the API server really has: policies are
// judged after the address of its Service was translated.
func toAPIServers(endpoints []Endpoint) []networkingv1.NetworkPolicyEgressRule {
	byPort := map[int32][]networkingv1.NetworkPolicyPeer{}
	var order []int32
	for _, e := range endpoints {
		address, err := netip.ParseAddr(e.Address)
		if err != nil {
			continue
		}
		if byPort[e.Port] == nil {
			order = append(order, e.Port)
		}
		byPort[e.Port] = append(byPort[e.Port], block(netip.PrefixFrom(address, address.BitLen()).String()))
	}
	var out []networkingv1.NetworkPolicyEgressRule
	for _, port := range order {
		out = append(out, networkingv1.NetworkPolicyEgressRule{To: byPort[port], Ports: ports(port)})
	}
	return out
}

func block(cidr string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// flows are the rules of a policy in short: "peer:port,port".
func flows(t *testing.T, in desired.Input, role string) (ingress, egress []string) {
	t.Helper()
	p := child[networkingv1.NetworkPolicy](t, in, "netpol", in.Pipeline.Name+"-"+role)
	if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) {
		t.Errorf("%s closes only %v", role, p.Spec.PolicyTypes)
	}
	for _, r := range p.Spec.Ingress {
		ingress = append(ingress, flow(r.From, r.Ports))
	}
	for _, r := range p.Spec.Egress {
		egress = append(egress, flow(r.To, r.Ports))
	}
	return ingress, egress
}

func flow(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) string {
	var who, where []string
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			who = append(who, strings.Join(append([]string{p.IPBlock.CIDR}, p.IPBlock.Except...), "!"))
		case p.PodSelector != nil && p.NamespaceSelector != nil:
			who = append(who, p.PodSelector.MatchLabels["app.kubernetes.io/name"]+"@"+p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
		case p.PodSelector != nil:
			who = append(who, p.PodSelector.MatchLabels["spark-role"])
		case len(p.NamespaceSelector.MatchLabels) == 0:
			who = append(who, "any")
		default:
			who = append(who, p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
		}
	}
	for _, p := range ports {
		if *p.Protocol == "UDP" {
			where = append(where, "udp"+p.Port.String())
		} else {
			where = append(where, p.Port.String())
		}
	}
	return strings.Join(who, ",") + ":" + strings.Join(where, ",")
}

const (
	dns      = "any:udp53,53"
	anywhere = "0.0.0.0/0!169.254.0.0/16,::/0!fe80::/10:443"
)

func TestFlows(t *testing.T) {
	for _, c := range []struct {
		pipeline, role  string
		ingress, egress []string
	}{
		{"minimal", "driver", []string{"executor:7078,7079", "any:4040"}, []string{dns, anywhere, "10.0.0.10/32:6443", "executor:7079"}},
		{"minimal", "executor", []string{"driver,executor:7079"}, []string{dns, anywhere, "driver:7078,7079", "executor:7079"}},
		{"minimal", "agent", nil, []string{dns, anywhere, "10.0.0.10/32:6443"}},
		{"minimal", "history", nil, nil},
		{"minimal", "watch", []string{"any:8082"}, []string{dns, anywhere}},
		{"full", "watch", []string{"monitoring:8082", "sparkpipeline-operator@sparkpipeline-system:8082"}, []string{dns, "52.218.128.0/17:443", "10.20.0.0/16:9093", "10.30.0.5/32:5432"}},
		{"dedicated", "default", nil, nil},
		{"full", "driver", []string{"executor:7078,7079", "monitoring:4040,8090"}, []string{dns, "52.218.128.0/17:443", "10.20.0.0/16:9093", "10.30.0.5/32:5432",
			"10.0.0.10/32,fd00::10/128:6443", "executor:7079"}},
		{"full", "executor", []string{"driver,executor:7079", "monitoring:8090"}, []string{dns, "52.218.128.0/17:443", "10.20.0.0/16:9093", "10.30.0.5/32:5432",
			"driver:7078,7079", "executor:7079"}},
	} {
		ingress, egress := flows(t, caseNamed(t, c.pipeline), c.role)
		if diff := difference(c.ingress, ingress); diff != "" {
			t.Errorf("%s: what comes in to %s:\n%s", c.pipeline, c.role, diff)
		}
		if diff := difference(c.egress, egress); diff != "" {
			t.Errorf("%s: what goes out of %s:\n%s", c.pipeline, c.role, diff)
		}
	}
}

// Only a namespace of one's own is closed as a whole, and only our own pods are in
// a shared one.
func TestPoliciesReachOurPodsAlone(t *testing.T) {
	for _, o := range everything(t) {
		if o.Object.GetKind() != "NetworkPolicy" {
			continue
		}
		p := child[networkingv1.NetworkPolicy](t, o.in, "netpol", o.Object.GetName())
		labels, name := p.Spec.PodSelector.MatchLabels, o.in.Pipeline.Name
		all := len(labels) == 0
		if all && o.in.Pipeline.Spec.Namespace == "" || !all && labels[desired.LabelPipeline] != name && labels[desired.LabelWorkload] != name {
			t.Errorf("%s selects %v", o.name, labels)
		}
	}
}

// The port of the store follows its endpoint.
func TestPortOfTheObjectStore(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": ":443", "https://s3.example.com": ":443", "http://s3.example.com": ":80", "http://s3.example.com:9000": ":9000", "https://s3.example.com:65535": ":65535",
	} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.ObjectStore.Endpoint = endpoint
		if _, egress := flows(t, in, "agent"); !strings.HasSuffix(egress[1], want) {
			t.Errorf("%q opens %s", endpoint, egress[1])
		}
	}
	for _, endpoint := range []string{"https://s3.example.com:65536", "https://s3.example.com:port", "https://%zz"} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.ObjectStore.Endpoint = endpoint
		invalidChild(t, in, "spec.objectStore.endpoint", strconv.Quote(endpoint))
	}
}

// invalidChild expects Render to refuse a spec because of one field.
func invalidChild(t *testing.T, in desired.Input, field, found string) {
	t.Helper()
	_, err := desired.Render(scheme(t), in)
	var invalid *desired.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != field || invalid.Found != found || invalid.Allowed == "" {
		t.Errorf("got %v, expected %s to be refused with %s", err, field, found)
		return
	}
	if !strings.Contains(err.Error(), field+": found "+found+"; allowed: "+invalid.Allowed) {
		t.Errorf("%v does not say what is wrong and what is allowed", err)
	}
}

// Kafka is closed until its addresses are said, and never opens more than the
// ports of its brokers.
func TestKafka(t *testing.T) {
	for _, c := range []struct {
		what, servers string
		ranges        []v1alpha1.CIDR
		want          []string
	}{
		{"no ranges", "kafka:9092", nil, nil},
		{"two brokers of one port", "a:9092,b:9092", []v1alpha1.CIDR{"10.1.0.0/16"}, []string{"10.1.0.0/16:9092"}},
		{"two ports, two ranges", "a:9092,b:9093", []v1alpha1.CIDR{"10.1.0.0/16", "10.2.0.0/16"}, []string{"10.1.0.0/16,10.2.0.0/16:9092,9093"}},
		{"no port that can be read", "a,b:0,c:99999", []v1alpha1.CIDR{"10.1.0.0/16"}, nil},
	} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.Sources.Kafka = &v1alpha1.KafkaSource{BootstrapServers: c.servers}
		in.Pipeline.Spec.Network.Egress.Kafka = c.ranges
		// The agent asks the brokers too: backups, restores and the watch.
		for role, more := range map[string][]string{"executor": {"driver:7078,7079", "executor:7079"}, "agent": {"10.0.0.10/32:6443"}, "watch": nil} {
			_, egress := flows(t, in, role)
			want := slices.Concat([]string{dns, anywhere}, c.want, more)
			if diff := difference(want, egress); diff != "" {
				t.Errorf("%s: %s:\n%s", c.what, role, diff)
			}
		}
	}
}

// What is no address is no reason to open more, or to fail.
func TestAddressesOfTheAPIServer(t *testing.T) {
	in := caseNamed(t, "minimal")
	in.Facts.APIServers = []desired.Endpoint{{Address: "10.0.0.1", Port: 443}, {Address: "not an address", Port: 443}, {Address: "10.0.0.2", Port: 6443}, {Address: "10.0.0.3", Port: 443}}
	_, egress := flows(t, in, "driver")
	if want := []string{dns, anywhere, "10.0.0.1/32,10.0.0.3/32:443", "10.0.0.2/32:6443", "executor:7079"}; !slices.Equal(egress, want) {
		t.Errorf("got %v", egress)
	}
}

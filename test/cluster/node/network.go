package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// The names and addresses of the node's network. They are constants, for there
// is one node on a machine: its bridge, rules and cgroups could be told apart,
// its routes could not.
const (
	namespace     = "sparkpipeline-node"
	hostInterface = "sparkpipeline0"
	nodeInterface = "eth0"
	podRange      = "10.244.0.0/24"
	serviceRange  = "10.96.0.0/16"
	dnsAddress    = "10.96.0.10"
	linkBits      = "/30"
)

var (
	// HostAddress is where pods reach a process of this machine.
	HostAddress = netip.MustParseAddr("10.231.0.1")
	nodeAddress = netip.MustParseAddr("10.231.0.2")

	enterNetwork = []string{"nsenter", "--net=/run/netns/" + namespace, "--"}
)

// createNetwork makes the network namespace and the link to it. One that a
// crashed run has left is replaced; one in use is refused.
func createNetwork(ctx context.Context) error {
	if _, err := os.Stat("/run/netns/" + namespace); err == nil {
		pids, err := output(ctx, "ip", "netns", "pids", namespace)
		if err != nil {
			return fmt.Errorf("look for another node: %w", err)
		}
		if pids != "" {
			return fmt.Errorf("start node: another one runs on this machine, with processes %v", strings.Fields(pids))
		}
		if err := deleteNetwork(ctx); err != nil {
			return err
		}
	}
	inside := func(argv ...string) []string { return append(append([]string{}, enterNetwork...), argv...) }
	commands := [][]string{
		{"ip", "netns", "add", namespace},
		{"ip", "link", "add", hostInterface, "type", "veth", "peer", "name", nodeInterface, "netns", namespace},
		{"ip", "address", "add", HostAddress.String() + linkBits, "dev", hostInterface},
		{"ip", "link", "set", hostInterface, "up"},
		inside("ip", "link", "set", "lo", "up"),
		inside("ip", "address", "add", nodeAddress.String()+linkBits, "dev", nodeInterface),
		inside("ip", "link", "set", nodeInterface, "up"),
		inside("ip", "route", "add", "default", "via", HostAddress.String()),
		{"ip", "route", "add", podRange, "via", nodeAddress.String()},
		{"ip", "route", "add", serviceRange, "via", nodeAddress.String()},
		inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"),
		// Else a reply between two pods of the bridge passes by the rules
		// that would turn a service's address back. The module may be built in.
		inside("sh", "-c", "modprobe br_netfilter 2>/dev/null; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables"),
	}
	for _, argv := range commands {
		if err := run(ctx, argv...); err != nil {
			return errors.Join(fmt.Errorf("create network: %w", err), deleteNetwork(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

// deleteNetwork removes the network namespace with all that is in it, and the
// link with its routes. What is not there is left alone.
func deleteNetwork(ctx context.Context) error {
	var errs []error
	if _, err := net.InterfaceByName(hostInterface); err == nil {
		errs = append(errs, run(ctx, "ip", "link", "delete", hostInterface))
	}
	if _, err := os.Stat("/run/netns/" + namespace); err == nil {
		errs = append(errs, run(ctx, "ip", "netns", "delete", namespace))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete network: %w", err)
	}
	return nil
}

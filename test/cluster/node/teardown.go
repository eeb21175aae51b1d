package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Stop ends the node and its control plane with everything they made: the
// containers, mounts, control groups, and the network with its rules. The
// cluster's directory stays, so that logs can be read. It may be called again,
// and after a crash.
func (n *Node) Stop(ctx context.Context) error {
	var errs []error
	// Those that would start containers again go first.
	for _, name := range []string{"coredns", "kube-proxy", "kubelet"} {
		if slices.Contains(n.Components(), name) {
			errs = append(errs, n.StopComponent(ctx, name))
		}
	}
	var left error
	if n.Running(runtimeName) {
		left = n.deleteContainers(ctx)
	}
	errs = append(errs, n.Cluster.Stop(ctx), n.killShims())
	// A shim that goes first makes the deletion of its containers fail although they
	// are gone. A control group can be removed only when no process is left in it, so
	// that is what tells.
	if err := deleteCgroup(); err != nil {
		errs = append(errs, left, err)
	}
	errs = append(errs,
		n.unmount(ctx),
		deleteNetwork(ctx),
		n.removeTraces(),
	)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop node: %w", err)
	}
	return nil
}

// deleteContainers ends every container by its runtime, which ends its shim.
func (n *Node) deleteContainers(ctx context.Context) error {
	tasks, err := n.ctr(ctx, "tasks", "list", "--quiet")
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for id := range strings.FieldsSeq(tasks) {
		if _, err := n.ctr(ctx, "tasks", "delete", "--force", id); err != nil && !strings.Contains(err.Error(), "not found") {
			errs = append(errs, fmt.Errorf("delete container: %w", err))
		}
	}
	return errors.Join(errs...)
}

// killShims ends the shims that a crashed containerd has left; they are known
// by the address of its socket.
func (n *Node) killShims() error {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, path := range processes {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended meanwhile.
		}
		args := strings.Split(string(data), "\x00")
		if !strings.HasSuffix(args[0], "containerd-shim-runc-v2") || !slices.Contains(args, n.socket()) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return fmt.Errorf("parse process id: %w", err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill shim: %w", err)
		}
	}
	return nil
}

// unmount undoes every mount below the cluster's directory, the last first.
func (n *Node) unmount(ctx context.Context) error {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var points []string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], n.Dir+"/") {
			points = append(points, fields[1])
		}
	}
	var errs []error
	for _, point := range slices.Backward(points) {
		errs = append(errs, run(ctx, "umount", "--lazy", point))
	}
	return errors.Join(errs...)
}

// removeTraces removes what containerd and kubelet write to fixed places of
// the machine: results of the network plugins, and links to logs.
func (n *Node) removeTraces() error {
	results, err := filepath.Glob(cniResults + "/" + cniNetwork + "-*")
	if err != nil {
		return fmt.Errorf("list network results: %w", err)
	}
	links, err := filepath.Glob("/var/log/containers/*")
	if err != nil {
		return fmt.Errorf("list log links: %w", err)
	}
	traces := results
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, n.Dir+"/") {
			traces = append(traces, link)
		}
	}
	for _, trace := range traces {
		if err := os.Remove(trace); err != nil {
			return fmt.Errorf("remove trace of the node: %w", err)
		}
	}
	return nil
}

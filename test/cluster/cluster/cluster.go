// Package cluster runs a Kubernetes control plane as processes of this
// machine, for tests and demonstrations: etcd and kube-apiserver always,
// kube-controller-manager, kube-scheduler and kwok (simulated nodes and pods)
// on request. Everything it writes is under one directory, everything it
// starts has a pid file there, and Stop ends exactly that.
//
//	dir, err := binaries.Ensure(ctx, binaries.ControlPlane, os.Stderr)
//	c, err := cluster.Start(ctx, cluster.Options{Binaries: dir, ControllerManager: true, Scheduler: true, Kwok: true})
//	defer c.Stop(ctx)
//	err = c.CreateNodes(ctx, cluster.Nodes{Count: 3, Zones: []string{"a", "b", "c"}})
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/rest"

	"sparkpipeline.dev/operator/test/cluster/process"
)

const auditPolicyFile = "audit-policy.yaml"

// Options say which control plane to start.
type Options struct {
	// Dir holds everything the cluster writes. Empty means a temporary
	// directory that Stop removes. A directory whose cluster was stopped is
	// started again with its data.
	Dir string
	// Binaries is the directory of the programs, as binaries.Ensure returns it.
	Binaries string
	// ControllerManager, Scheduler and Kwok add these programs. Without the
	// controller manager nothing makes service accounts, and the admission
	// plugin that asks for them is off.
	ControllerManager, Scheduler, Kwok bool
	// KwokConfigs are paths of further kwok configuration, such as stages.
	KwokConfigs []string
	// AuditPolicy is an audit.k8s.io/v1 Policy as YAML; with one, the API
	// server writes Cluster.AuditLog.
	AuditPolicy string
	// ExtraAPIServerArgs and ExtraControllerManagerArgs are appended to the
	// command lines, so that they win over the defaults.
	ExtraAPIServerArgs, ExtraControllerManagerArgs []string
	// Detached leaves the programs running when this process ends; Attach
	// finds them again.
	Detached bool
	// Address is where all programs listen and what the API server
	// advertises. The zero value means loopback, which pods cannot reach.
	Address netip.Addr
	// Wrap is put before every command, for example to enter a namespace. It
	// must replace itself by the command, for the pid to stay the same.
	Wrap []string
}

func (o Options) host() string {
	if o.Address.IsValid() {
		return o.Address.String()
	}
	return "127.0.0.1"
}

// Cluster is a running control plane.
type Cluster struct {
	// Dir holds everything the cluster writes; logs are in its folder logs.
	Dir string
	// Kubeconfig is the path of a kubeconfig with all rights.
	Kubeconfig string
	// Config is a client configuration with all rights.
	Config *rest.Config
	// AuditLog is the path of the API server's audit log, one JSON event a
	// line. It is written only when the options name a policy.
	AuditLog string

	state     state
	table     *process.Table
	removeDir bool
}

// Start starts a control plane and returns when all of it is ready, or the
// context ends. On failure nothing is left running.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c, err := newCluster(o)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// newCluster returns a cluster with its directory made and nothing running.
func newCluster(o Options) (*Cluster, error) {
	if o.Binaries == "" {
		return nil, errors.New("start cluster: no directory of binaries is given")
	}
	dir, temporary := o.Dir, o.Dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("", "cluster-"); err != nil {
			return nil, fmt.Errorf("create cluster directory: %w", err)
		}
	}
	c, err := open(dir, o.Detached)
	if err != nil {
		return nil, err
	}
	if old, err := loadState(c.Dir); err == nil {
		for _, p := range old.Components {
			if c.table.Running(p.Name) {
				return nil, fmt.Errorf("start cluster: %s already runs in %s", p.Name, c.Dir)
			}
		}
	}
	c.removeDir, c.state.Binaries = temporary, o.Binaries
	return c, nil
}

// open returns the handle of a directory, without its state.
func open(dir string, detached bool) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find cluster directory: %w", err)
	}
	table, err := process.New(dir, detached)
	if err != nil {
		return nil, err
	}
	return &Cluster{
		Dir:        dir,
		Kubeconfig: filepath.Join(dir, "admin.kubeconfig"),
		AuditLog:   filepath.Join(dir, "logs", "audit.log"),
		table:      table,
	}, nil
}

// Binaries returns the directory of the cluster's programs.
func (c *Cluster) Binaries() string { return c.state.Binaries }

func (c *Cluster) kubeconfigFile(user string) string {
	return filepath.Join(c.Dir, user+".kubeconfig")
}

// start writes the configuration and runs the components one after another.
func (c *Cluster) start(ctx context.Context, o Options) error {
	free, err := freePorts(6)
	if err != nil {
		return err
	}
	p := ports{free[0], free[1], free[2], free[3], free[4], free[5]}
	pki, err := c.writeCredentials(o, p)
	if err != nil {
		return err
	}
	if err := c.writeFiles(o); err != nil {
		return err
	}
	// The API server waits for etcd by itself, and the others for the API
	// server: started together they are ready soonest.
	wave := []Component{c.etcd(o, p), c.apiServer(o, p, pki)}
	if err := c.Run(ctx, wave...); err != nil {
		return err
	}
	wave = nil
	if o.ControllerManager {
		wave = append(wave, c.controllerManager(o, p, pki))
	}
	if o.Scheduler {
		wave = append(wave, c.scheduler(o, p))
	}
	if o.Kwok {
		wave = append(wave, c.kwok(o, p))
	}
	if err := c.Run(ctx, wave...); err != nil {
		return err
	}
	if o.ControllerManager {
		return c.awaitServiceAccounts(ctx)
	}
	return nil
}

// Attach returns the handle of a cluster that was started in dir, by this
// process or another, whether or not it still runs.
func Attach(dir string) (*Cluster, error) {
	s, err := loadState(dir)
	if err != nil {
		return nil, err
	}
	c, err := open(dir, true)
	if err != nil {
		return nil, err
	}
	c.state = s
	c.Config, err = loadConfig(c.Kubeconfig)
	return c, err
}

// Components returns the names of the cluster's programs, in the order in
// which they were started.
func (c *Cluster) Components() []string {
	var names []string
	for _, p := range c.state.Components {
		names = append(names, p.Name)
	}
	return names
}

// component returns a program by its name.
func (c *Cluster) component(name string) (Component, error) {
	i := slices.IndexFunc(c.state.Components, func(p Component) bool { return p.Name == name })
	if i < 0 {
		return Component{}, fmt.Errorf("the cluster has no component %q: it has %v", name, c.Components())
	}
	return c.state.Components[i], nil
}

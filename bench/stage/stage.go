// SPDX-License-Identifier: Apache-2.0

// Package stage is what the bench plays on: etcd, kube-apiserver with an audit
// log, kube-controller-manager, the CRDs, the install of config/default, and the
// operator as processes of their own under its ServiceAccount.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/internal/manager"
	sparkcrd "sparkpipeline.dev/operator/internal/sparkapi/testdata"
	"sparkpipeline.dev/operator/test/cluster/binaries"
	"sparkpipeline.dev/operator/test/cluster/cluster"
	"sparkpipeline.dev/operator/test/cluster/process"
	"sparkpipeline.dev/operator/test/e2e/world"
)

const (
	systemNamespace = "sparkpipeline-system"
	operatorAccount = "sparkpipeline-operator"
	actorsNamespace = "bench-system"
)

// Actor is an identity of its own at the API server.
type Actor string

// The actors. All but the harness and the observer have the rights of the
// operator, so that authorization costs them the same.
const (
	Operator Actor = "operator"
	// Floor is the bare loop of applies.
	Floor Actor = "floor"
	// Peer is another tool that applies the same objects.
	Peer Actor = "peer"
	// Backend stands for kubeflow's controller.
	Backend Actor = "backend"
	// Somebody edits what is not theirs.
	Somebody Actor = "somebody"
	// Harness makes namespaces and SparkPipelines.
	Harness Actor = "harness"
	// Observer watches.
	Observer Actor = "observer"
)

// User is the name of an actor in the audit log.
func (a Actor) User() string {
	if a == Operator {
		return "system:serviceaccount:" + systemNamespace + ":" + operatorAccount
	}
	return "system:serviceaccount:" + actorsNamespace + ":" + string(a)
}

// Stage is a running stage.
type Stage struct {
	Cluster *cluster.Cluster
	World   *world.World
	Audit   *audit.Log

	root    string
	manager string
	bin     string
	table   *process.Table
	log     io.Writer
}

// controllers of kube-controller-manager that run. Those that would make pods or
// jobs do not: there is no node, and a schedule that comes due in the middle of a
// run would be a load that no other run has. Nor does that of autoscalers, which
// would only complain that there are no metrics.
const controllers = "--controllers=*,-cronjob-controller,-job-controller,-deployment-controller,-statefulset-controller,-horizontal-pod-autoscaler-controller"

// Start brings the stage up in dir, without the operator, whose program is manager.
func Start(ctx context.Context, root, manager, dir string, log io.Writer) (*Stage, error) {
	bin, err := binaries.Ensure(ctx, binaries.ControlPlane, log)
	if err != nil {
		return nil, fmt.Errorf("find the control plane's programs: %w", err)
	}
	s := &Stage{root: root, manager: manager, bin: bin, log: log}
	s.Cluster, err = cluster.Start(ctx, cluster.Options{
		Dir: filepath.Join(dir, "cluster"), Binaries: bin, ControllerManager: true,
		AuditPolicy:                audit.Policy(Operator.User(), Floor.User(), Peer.User()),
		ExtraControllerManagerArgs: []string{controllers},
	})
	if err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	s.Audit = audit.Open(s.Cluster.AuditLog)
	if err := s.furnish(ctx, dir); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Stage) furnish(ctx context.Context, dir string) error {
	var err error
	if s.table, err = process.New(s.Cluster.Dir, false); err != nil {
		return fmt.Errorf("keep a table of processes: %w", err)
	}
	if s.World, err = world.On(s.root, dir, s.bin, s.Cluster.Kubeconfig, s.log); err != nil {
		return err
	}
	spark := filepath.Join(dir, "sparkapplications.yaml")
	if err := os.WriteFile(spark, sparkcrd.SparkApplicationCRD, 0o600); err != nil {
		return fmt.Errorf("write the CRD of SparkApplication: %w", err)
	}
	if _, err := s.World.Kubectl(ctx, "apply", "--server-side", "-f", spark); err != nil {
		return err
	}
	if err := s.World.InstallOptionalAPIs(ctx); err != nil {
		return err
	}
	if err := s.World.Install(ctx); err != nil {
		return err
	}
	return s.makeActors(ctx)
}

// makeActors makes the identities. They may do everything that the operator may;
// those who act upon its objects may do everything.
func (s *Stage) makeActors(ctx context.Context) error {
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: actorsNamespace}}}
	for actor, role := range map[Actor]string{
		Floor: operatorAccount, Peer: "cluster-admin", Backend: "cluster-admin", Somebody: "cluster-admin",
		Harness: "cluster-admin", Observer: "cluster-admin",
	} {
		objects = append(objects,
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: actorsNamespace, Name: string(actor)}},
			&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "bench-" + string(actor)},
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: actorsNamespace, Name: string(actor)}}})
	}
	for _, o := range objects {
		if err := s.World.Client.Create(ctx, o); err != nil {
			return fmt.Errorf("make the actors: %w", err)
		}
	}
	return nil
}

// Config returns a client configuration that acts as an actor, without a limit of
// its own on requests.
func (s *Stage) Config(ctx context.Context, a Actor) (*rest.Config, error) {
	namespace, name := actorsNamespace, string(a)
	if a == Operator {
		namespace, name = systemNamespace, operatorAccount
	}
	config, err := s.Cluster.ServiceAccountConfig(ctx, namespace, name)
	if err != nil {
		return nil, fmt.Errorf("act as %s: %w", a, err)
	}
	config.QPS = -1
	return config, nil
}

// Client returns a client that acts as an actor.
func (s *Stage) Client(ctx context.Context, a Actor) (client.Client, error) {
	config, err := s.Config(ctx, a)
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: manager.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("act as %s: %w", a, err)
	}
	return c, nil
}

// Stop ends all that the stage started.
func (s *Stage) Stop(ctx context.Context) error {
	var errs []error
	if s.table != nil {
		for _, name := range replicas {
			errs = append(errs, s.table.Stop(ctx, name, stopGrace))
		}
		s.table.Close()
	}
	return errors.Join(append(errs, s.Cluster.Stop(ctx))...)
}

// Tail is the end of the log of a process of the stage.
func (s *Stage) Tail(name string) string {
	return strings.Join([]string{"--- the end of the log of " + name, s.table.Tail(name, 20)}, "\n")
}

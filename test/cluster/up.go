package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/test/cluster/binaries"
	"sparkpipeline.dev/operator/test/cluster/cluster"
	"sparkpipeline.dev/operator/test/cluster/node"
)

// defaultDir makes dir absolute, and names where a cluster without a directory
// of its own lives.
func defaultDir(dir *string) error {
	if *dir == "" {
		cache, err := binaries.CacheDir()
		if err != nil {
			return err
		}
		*dir = filepath.Join(cache, "cluster")
	}
	var err error
	*dir, err = filepath.Abs(*dir)
	return err
}

func addDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "directory of the cluster (default: cluster, in the cache directory)")
}

func upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster and leave it running; the last line is the path of its kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := defaultDir(&o.dir); err != nil {
				return err
			}
			return up(cmd, o)
		},
	}
	addDirFlag(cmd, &o.dir)
	cmd.Flags().BoolVar(&o.node, "node", false, "run a node with real containers too (Linux, root)")
	cmd.Flags().StringArrayVar(&o.images, "image", nil, "image archive to import into the node (repeatable)")
	cmd.Flags().IntVar(&o.kwokNodes, "kwok", 0, "number of simulated nodes, spread over the zones a, b and c")
	cmd.Flags().Lookup("kwok").NoOptDefVal = "3"
	cmd.Flags().StringVar(&o.auditPolicy, "audit-policy", "", "file with an audit policy; the log is logs/audit.log in the directory")
	return cmd
}

type upOptions struct {
	dir         string
	node        bool
	images      []string
	kwokNodes   int
	auditPolicy string
}

func up(cmd *cobra.Command, o upOptions) error {
	ctx, progress := cmd.Context(), cmd.ErrOrStderr()
	group := binaries.ControlPlane
	if o.node {
		group = binaries.Node
	}
	bin, err := binaries.Ensure(ctx, group, progress)
	if err != nil {
		return err
	}
	options := cluster.Options{
		Dir: o.dir, Binaries: bin, Detached: true,
		ControllerManager: true, Scheduler: true, Kwok: o.kwokNodes > 0,
	}
	if o.auditPolicy != "" {
		policy, err := os.ReadFile(o.auditPolicy)
		if err != nil {
			return fmt.Errorf("read audit policy: %w", err)
		}
		options.AuditPolicy = string(policy)
	}
	start := time.Now()
	c, err := startCluster(ctx, options, o)
	if err != nil {
		return err
	}
	if o.kwokNodes > 0 {
		if err := c.CreateNodes(ctx, cluster.Nodes{Count: o.kwokNodes, Zones: []string{"a", "b", "c"}}); err != nil {
			return fmt.Errorf("%w (the cluster is up: end it with down)", err)
		}
	}
	fmt.Fprintf(progress, "cluster is up after %s in %s\n", time.Since(start).Round(100*time.Millisecond), c.Dir)
	fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig)
	return nil
}

func startCluster(ctx context.Context, options cluster.Options, o upOptions) (*cluster.Cluster, error) {
	if !o.node {
		return cluster.Start(ctx, options)
	}
	n, err := node.Start(ctx, node.Options{Cluster: options, Images: o.images})
	if err != nil {
		return nil, err
	}
	return n.Cluster, nil
}

func downCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cluster that up has started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := defaultDir(&dir); err != nil {
				return err
			}
			if n, err := node.Attach(dir); err == nil {
				return n.Stop(cmd.Context())
			}
			c, err := cluster.Attach(dir)
			if err != nil {
				return err
			}
			return c.Stop(cmd.Context())
		},
	}
	addDirFlag(cmd, &dir)
	return cmd
}

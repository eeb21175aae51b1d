package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/test/cluster/binaries"
	"sparkpipeline.dev/operator/test/cluster/cluster"
)

// defaultDir returns where a cluster without a directory of its own lives.
func defaultDir() (string, error) {
	cache, err := binaries.CacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "cluster"), nil
}

func addDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "directory of the cluster (default: cluster, in the cache directory)")
}

func upCommand() *cobra.Command {
	var dir string
	var kwokNodes int
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster and leave it running; the last line is the path of its kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				var err error
				if dir, err = defaultDir(); err != nil {
					return err
				}
			}
			return up(cmd, dir, kwokNodes)
		},
	}
	addDirFlag(cmd, &dir)
	cmd.Flags().IntVar(&kwokNodes, "kwok", 0, "number of simulated nodes, spread over the zones a, b and c")
	cmd.Flags().Lookup("kwok").NoOptDefVal = "3"
	return cmd
}

func up(cmd *cobra.Command, dir string, kwokNodes int) error {
	ctx, progress := cmd.Context(), cmd.ErrOrStderr()
	bin, err := binaries.Ensure(ctx, binaries.ControlPlane, progress)
	if err != nil {
		return err
	}
	start := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: dir, Binaries: bin, Detached: true,
		ControllerManager: true, Scheduler: true, Kwok: kwokNodes > 0,
	})
	if err != nil {
		return err
	}
	if kwokNodes > 0 {
		if err := c.CreateNodes(ctx, cluster.Nodes{Count: kwokNodes, Zones: []string{"a", "b", "c"}}); err != nil {
			return fmt.Errorf("%w (the cluster is up: end it with down)", err)
		}
	}
	fmt.Fprintf(progress, "cluster is up after %s in %s\n", time.Since(start).Round(100*time.Millisecond), c.Dir)
	fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig)
	return nil
}

func downCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cluster that up has started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				var err error
				if dir, err = defaultDir(); err != nil {
					return err
				}
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

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/test/cluster/binaries"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "Build and run a Kubernetes cluster from Go modules",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(buildCommand(), assetsCommand(), upCommand(), downCommand(), imageCommand(), sparkImageCommand(), sparkHomeCommand(), sparkAppCommand())
	return root
}

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build [assets|controlplane|node]",
		Short: "Build the programs of a group; the last line is the directory that holds them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			group := binaries.ControlPlane
			if len(args) == 1 {
				var err error
				if group, err = binaries.ParseGroup(args[0]); err != nil {
					return err
				}
			}
			return printDir(cmd, group)
		},
	}
}

func assetsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "assets",
		Short: "Build what envtest needs and print the directory for " + binaries.AssetsEnv,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return printDir(cmd, binaries.Assets) },
	}
}

func printDir(cmd *cobra.Command, group binaries.Group) error {
	dir, err := binaries.Ensure(cmd.Context(), group, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), dir)
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// Command demo runs a real Spark stream under the operator on a real node, scales
// it, kills its driver, and leaves the cluster up. It needs Linux and root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sparkpipeline.dev/operator/test/e2e/live"
	"sparkpipeline.dev/operator/test/e2e/world"
)

func main() {
	down := flag.Bool("down", false, "stop what an earlier run left running")
	dir := flag.String("dir", "/var/tmp/sparkpipeline-live", "directory of the demo; the node needs a short one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *down); err != nil {
		fmt.Fprintln(os.Stderr, "demo-live:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, down bool) error {
	root, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the project: %w", err)
	}
	if err := world.Down(ctx, root, dir, os.Stderr); down || err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear the directory of the demo: %w", err)
	}
	s, err := live.Up(ctx, root, dir, os.Stderr)
	if err != nil {
		return err
	}
	if err := s.Play(ctx); err != nil {
		s.SayWhy(ctx)
		return err
	}
	fmt.Printf("\nReal here: the node, its containers, Spark and spark-submit, the operator as a pod. Standing in: kubeflow's controller.\n"+
		"\nThe cluster is up:\n  export KUBECONFIG=%s\n  kubectl -n live get sp,pods\nStop it: make demo-live-down\n", s.Kubeconfig)
	return nil
}

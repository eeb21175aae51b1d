// SPDX-License-Identifier: Apache-2.0

// Command demo shows the operator at work on a control plane of its own: two
// pipelines become ready, a driver is killed, children are edited and deleted,
// and all come back. It leaves the cluster up.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"sparkpipeline.dev/operator/test/e2e/world"
)

func main() {
	down := flag.Bool("down", false, "stop what an earlier run left running")
	dir := flag.String("dir", "", "directory of the demo (default: demo, in the cache directory)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *down); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, down bool) error {
	root, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the project: %w", err)
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache directory: %w", err)
		}
		dir = filepath.Join(cache, "sparkpipeline", "demo")
	}
	if err := world.Down(ctx, root, dir, os.Stderr); down || err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear the directory of the demo: %w", err)
	}
	begin := time.Now()
	w, err := world.Up(ctx, root, dir, os.Stderr)
	if err != nil {
		return err
	}
	d := demo{World: w, begin: begin}
	if err := d.play(ctx); err != nil {
		d.sayWhy(ctx)
		return err
	}
	d.summary()
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// Command bench measures the agent's backup and restore over the wire, beside a
// bare loop of the same client library and beside the tools that people use. It
// writes bench-agent.json and bench-agent.md and fails when a ratio is missed:
//
//	go run ./bench -agent ../../bin/agent -out ../../out [-peers] [-small 100000] [-million]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"sparkpipeline.dev/operator/test/s3/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "bare" {
		return bare(ctx, args[1:])
	}
	if len(args) == 2 && args[0] == "serve" {
		s, err := server.Start(args[1], "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(s.URL)
		<-ctx.Done()
		return s.Stop()
	}
	b, err := parse(args)
	if err != nil {
		return err
	}
	report, err := b.measure(ctx)
	if report != nil {
		err = errors.Join(err, report.write(b.out))
		fmt.Println(report.markdown())
	}
	if err != nil {
		return err
	}
	return report.missed()
}

// bench is one run of the whole.
type bench struct {
	out, agent, self, scratch string
	runs, repeats, small      int
	million, withPeers        bool
	env                       []string
	buckets                   string
}

func parse(args []string) (*bench, error) {
	b := &bench{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&b.out, "out", "out", "directory of the results")
	fs.StringVar(&b.agent, "agent", "bin/agent", "the agent's program")
	fs.StringVar(&b.scratch, "scratch", "", "directory for trees and buckets (default /dev/shm if there is one)")
	fs.IntVar(&b.runs, "runs", 5, "how often everything is measured")
	fs.BoolVar(&b.withPeers, "peers", true, "measure rclone, restic and aws-cli too")
	fs.IntVar(&b.small, "small", 0, "measure a tree of so many small files too, such as 100000")
	fs.BoolVar(&b.million, "million", false, "measure the memory of a backup and a restore of 1,000,000 files too (6 GiB of scratch)")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 || b.runs < 1 {
		return nil, fmt.Errorf("arguments are %q and -runs is %d; allowed are flags alone and 1 or more", fs.Args(), b.runs)
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.agent, err = filepath.Abs(b.agent); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.agent); err != nil {
		return nil, fmt.Errorf("the agent's program: %w; make build makes it", err)
	}
	if b.scratch == "" {
		if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
			b.scratch = "/dev/shm"
		}
	}
	b.repeats = 3
	b.scratch, err = os.MkdirTemp(b.scratch, "bench-agent-*")
	b.env = environment(b.scratch)
	b.buckets = filepath.Join(b.scratch, "server", "buckets")
	return b, err
}

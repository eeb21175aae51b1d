// SPDX-License-Identifier: Apache-2.0

// Command bench measures the operator on a control plane of its own. It writes
// bench.json and bench.md and fails when a gate is missed; docs/performance.md
// says what is measured and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	// sizes are the numbers of pipelines, with how often each is run.
	sizes []size
	quiet time.Duration
	only  []string
	out   string
	root  string
	// manager is the program that is measured.
	manager string
	limit   time.Duration
}

type size struct{ n, runs int }

// phases in their order. Burst and settling always run.
var phases = []string{"floor", "drift", "spec", "quiet", "restart", "failover", "memory"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	r, err := measure(ctx, o, log)
	if r != nil {
		if err := r.Write(o.out); err != nil {
			return err
		}
		fmt.Fprintf(log, "\n%s\n%s and bench.md beside it hold the figures\n", r.Markdown(), filepath.Join(o.out, "bench.json"))
	}
	if err != nil {
		return err
	}
	if misses := r.Misses(); len(misses) > 0 {
		return errors.New("gates missed:\n  " + strings.Join(misses, "\n  "))
	}
	return nil
}

func parse(args []string) (options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	n := fs.String("n", "100,1000", "numbers of pipelines, with commas between them")
	runs := fs.String("runs", "5,1", "how often each number is run, with commas between them")
	quiet := fs.Duration("quiet", 2*time.Minute, "length of the quiet phase of the first run at each number; later runs have a tenth")
	only := fs.String("only", "", "phases to run, of "+strings.Join(phases, ",")+"; empty runs all")
	short := fs.Bool("short", false, "100 pipelines once and 30 s of quiet: the counts and the ratio, for every change")
	out := fs.String("out", "out", "directory of bench.json and bench.md")
	root := fs.String("root", "..", "the project's tree")
	manager := fs.String("manager", "", "the operator's program; empty is bin/manager below -root")
	limit := fs.Duration("limit", 40*time.Minute, "longest time for everything")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if *short {
		*n, *runs, *quiet = "100", "1", 30*time.Second
	}
	o := options{quiet: *quiet, limit: *limit, only: phases}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, phase := range o.only {
		if !slices.Contains(phases, phase) {
			return options{}, fmt.Errorf("-only: found %q; allowed: %s", phase, strings.Join(phases, ", "))
		}
	}
	var err error
	if o.sizes, err = parseSizes(*n, *runs); err != nil {
		return options{}, err
	}
	if o.root, err = filepath.Abs(*root); err != nil {
		return options{}, fmt.Errorf("-root: %w", err)
	}
	if *manager == "" {
		*manager = filepath.Join(o.root, "bin", "manager")
	}
	if o.manager, err = filepath.Abs(*manager); err != nil {
		return options{}, fmt.Errorf("-manager: %w", err)
	}
	if o.out, err = filepath.Abs(*out); err != nil {
		return options{}, fmt.Errorf("-out: %w", err)
	}
	return o, nil
}

// parseSizes pairs numbers with runs; the last of the runs holds for all that
// follow.
func parseSizes(numbers, runs string) ([]size, error) {
	times := strings.Split(runs, ",")
	var out []size
	for i, text := range strings.Split(numbers, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-n: found %q; allowed: numbers from 1 on, with commas between them", text)
		}
		of, err := strconv.Atoi(times[min(i, len(times)-1)])
		if err != nil || of < 1 {
			return nil, fmt.Errorf("-runs: found %q; allowed: numbers from 1 on, with commas between them", runs)
		}
		out = append(out, size{n: n, runs: of})
	}
	return out, nil
}

// wants says whether a phase is to run.
func (o options) wants(phase string) bool { return slices.Contains(o.only, phase) }

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
)

// Exit codes of guard.
const (
	CodeGuardUnjudged     = CodeGuardFirst
	CodeGuardNotMounted   = 41
	CodeGuardOtherOwner   = 42
	CodeGuardUnfinished   = 43
	CodeGuardLocked       = 44
	CodeGuardEmpty        = 45
	CodeGuardOlder        = 46
	CodeGuardDamaged      = 47
	CodeGuardOtherRunning = 48
)

var codeOfReason = map[guard.Reason]int{
	guard.NotMounted: CodeGuardNotMounted, guard.OtherOwner: CodeGuardOtherOwner, guard.Unfinished: CodeGuardUnfinished,
	guard.Locked: CodeGuardLocked, guard.Empty: CodeGuardEmpty, guard.Older: CodeGuardOlder,
	guard.Damaged: CodeGuardDamaged, guard.OtherRunning: CodeGuardOtherRunning,
}

// submissionVariable holds the id of the submission that the guard's pod belongs to.
const submissionVariable = "SPARK_APP_SELECTOR"

type guardCommand struct {
	*agent
	store  storeFlags
	orders string
	wait   time.Duration
	// pods lists the live pods of other submissions; nil: by the API server.
	pods func(ctx context.Context, namespace, selector, submission string) ([]string, error)
	// mounted is guard.IsMountPoint, but for tests.
	mounted func(dir string) (bool, error)
}

func (a *agent) guardCommand() *cobra.Command {
	g := &guardCommand{agent: a, pods: otherPods, mounted: guard.IsMountPoint}
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Refuse the start of a driver that would lose or damage state",
		Long: `Judge the checkpoint before a driver starts; run as its init container. The orders
say what the checkpoint must hold.

Exit code: 0 the driver may start, 40 could not judge, 41 not mounted, 42 another
owner, 43 a restore or rewind is unfinished, 44 locked, 45 empty, 46 older than what
was committed, 47 damaged, 48 another submission is alive.`,
		Args: cobra.NoArgs,
		RunE: a.run(g.run),
	}
	flags := cmd.Flags()
	g.store.add(flags)
	flags.StringVar(&g.orders, "orders", config.OrdersFile, "file with the operator's orders")
	flags.DurationVar(&g.wait, "wait", 2*time.Minute, "how long to wait for pods of another submission")
	a.outputFlag(cmd)
	return cmd
}

func (g *guardCommand) run(ctx context.Context, _ []string) error {
	job, done, err := g.prepare()
	if err != nil {
		return withCode(CodeGuardUnjudged, err)
	}
	defer done()
	evidence, err := job.Run(ctx)
	printErr := g.print(evidence, func(w io.Writer) { writeEvidence(w, evidence) })
	if refusal, ok := errors.AsType[*guard.Refusal](err); ok {
		return withCode(codeOfReason[refusal.Reason], err)
	}
	if err != nil {
		return withCode(CodeGuardUnjudged, fmt.Errorf("the checkpoint could not be judged: %w", err))
	}
	return withCode(CodeGuardUnjudged, printErr)
}

func (g *guardCommand) prepare() (*guard.Guard, func(), error) {
	c, err := g.config()
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		return nil, nil, usage("--config is missing; it says where the checkpoint is")
	}
	text, err := os.ReadFile(g.orders)
	if err != nil {
		return nil, nil, fmt.Errorf("read --orders: %w", err)
	}
	orders, err := config.ParseOrders(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", g.orders, err)
	}
	job := &guard.Guard{Orders: *orders, Queries: c.QueryPaths(), Wait: g.wait, Poll: 2 * time.Second, Now: time.Now, Sleep: sleep,
		Report: func(message string) { g.log.Warn(message) }}
	if submission := os.Getenv(submissionVariable); submission != "" && orders.PodSelector != "" {
		job.Others = func(ctx context.Context) ([]string, error) {
			return g.pods(ctx, c.WorkloadNamespace, orders.PodSelector, submission)
		}
	}
	if strings.Contains(c.Root, "://") {
		job.Place, err = g.storePlace(c)
		return job, func() {}, err
	}
	if orders.MountPath != "" {
		job.Mounted = func() (bool, error) { return g.mounted(orders.MountPath) }
		if ok, err := job.Mounted(); err != nil || !ok {
			// Nothing is made on what is not the volume.
			job.Place = guard.StorePlace{}
			return job, func() {}, err
		}
	}
	place, err := guard.OpenDirPlace(c.Root)
	if err != nil {
		return nil, nil, err
	}
	job.Place = place
	return job, func() { _ = place.Close() }, nil
}

func (g *guardCommand) storePlace(c *config.Config) (guard.Place, error) {
	bucket, prefix, ok := splitLocation(c.Root)
	if !ok {
		return nil, usage("root is %q; allowed are a directory and s3a://BUCKET/PREFIX", c.Root)
	}
	store, err := g.connect(g.store.options(c, bucket))
	if err != nil {
		return nil, err
	}
	return guard.StorePlace{Store: checkpoint.Store{Objects: store, Prefix: prefix}}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func writeEvidence(w io.Writer, e *guard.Evidence) {
	fmt.Fprintf(w, "ROOT\tPLANNED\tCOMMITTED\tFINDING\n")
	for _, f := range e.Roots {
		problem := ""
		if len(f.Findings) > 0 {
			problem = f.Findings[0].Path + " " + f.Findings[0].Message
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Path, batch(f.LastOffset), batch(f.LastCommit), problem)
	}
}

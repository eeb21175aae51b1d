// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/rewind"
)

type rewindCommand struct {
	*agent
	to         int64
	terminated bool
	copyTo     string
	as         string
	level      int
	timesLost  bool
	settle     time.Duration
}

func (a *agent) rewindCommand() *cobra.Command {
	c := &rewindCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "rewind ROOT",
		Short: "Take a checkpoint root back to an earlier committed batch",
		Long: `Take the checkpoint root of one query, a directory, back to a committed batch.

In place it is done only with --writers-terminated: a driver that was merely frozen
overwrites the state of the new timeline when it wakes up, without an error. Without
that word the restorable set of the batch is copied to a new root, of which such a
driver knows nothing; ROOT is then only read.

In place, what has to go is moved to .sparkpipeline-trash in ROOT; nothing is deleted.
A run that was cut off is completed by running it again; until then the guard lets no
driver start. A sink that remembers batches skips those that it has seen already, with
whatever is new in them: see the runbook before you start the query.

Exit code: 0 done, 1 failed, 3 usage, 4 interrupted, 20 no checkpoint, 23 the query
removed files meanwhile, 25 the new root is not empty, 27 another pipeline's, 29 the
batch cannot be gone on with, 30 locked, 31 the root does not hold still, 32 other
work on the root is unfinished, 33 the root is an older copy.`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	flags.Int64Var(&c.to, "to", rewind.Newest, "committed batch to go back to (default the newest that verifies)")
	flags.Lookup("to").DefValue = "0" // The text names the default; 0 is not printed.
	flags.BoolVar(&c.terminated, "writers-terminated", false, "I have seen the containers of the last driver and of all its executors terminated: work in place")
	flags.StringVar(&c.copyTo, "copy-to", "", "directory of the new root, empty or absent (default ROOT-rewound)")
	flags.StringVar(&c.as, "as", "", "absolute path or URI at which the query will find the new root (default where it is)")
	flags.IntVar(&c.level, "level", checkpoint.LevelChecksums, "highest level of verification, 4 to 6")
	flags.BoolVar(&c.timesLost, "times-lost", false, "ROOT is a copy that did not keep the times of files, so they tell nothing of a second driver")
	flags.DurationVar(&c.settle, "settle", 10*time.Second, "how long ROOT has to hold still before anything is moved")
	a.outputFlag(cmd)
	return cmd
}

func (c *rewindCommand) run(ctx context.Context, args []string) error {
	if err := c.check(args[0]); err != nil {
		return err
	}
	if _, err := os.Stat(args[0]); err != nil {
		return withCode(CodeNotCheckpoint, fmt.Errorf("find ROOT: %w", err))
	}
	conf, err := c.config()
	if err != nil {
		return err
	}
	p := c.newProgress()
	defer p.done()
	job := &rewind.Rewind{Dir: args[0], Batch: c.to, As: c.as, Level: c.level, TimesLost: c.timesLost, Settle: c.settle,
		Now: time.Now, Sleep: sleep, Progress: func(state rewind.Progress) {
			p.report(backup.Progress{Phase: backup.Phase(state.Phase), Files: state.Files, TotalFiles: state.TotalFiles, Bytes: state.Bytes, TotalBytes: state.TotalBytes})
		}}
	if conf != nil {
		job.Owner = &rewind.Owner{Namespace: conf.Pipeline.Namespace, Name: conf.Pipeline.Name}
	}
	if !c.terminated {
		if job.CopyTo, err = c.target(args[0]); err != nil {
			return err
		}
	}
	result, err := job.Run(ctx)
	if errors.Is(err, checkpoint.ErrNoRoot) {
		return withCode(CodeNotCheckpoint, fmt.Errorf("rewind %s: %w", args[0], c.noRoot(ctx, args[0], err)))
	}
	if err != nil {
		return fmt.Errorf("rewind %s: %w", args[0], err)
	}
	p.done()
	return c.print(result, func(w io.Writer) { writeRewind(w, result) })
}

func (c *rewindCommand) check(root string) error {
	switch {
	case strings.Contains(root, "://"):
		return usage("ROOT is %q; only directories can be taken back: a bucket has no rename, and no lock that a driver's end releases. Restore a recovery point of the batch to a new prefix instead: agent restore --batch", root)
	case c.to < rewind.Newest:
		return usage("--to is %d; allowed is the number of a committed batch", c.to)
	case c.level < checkpoint.LevelStructure || c.level > checkpoint.LevelChecksums:
		return usage("--level is %d; allowed is %d to %d", c.level, checkpoint.LevelStructure, checkpoint.LevelChecksums)
	case c.settle < 0:
		return usage("--settle is %s; allowed is a duration of 0s or more", c.settle)
	case c.terminated && (c.copyTo != "" || c.as != ""):
		return usage("--writers-terminated works in place; --copy-to and --as are not allowed beside it")
	case c.as != "" && !strings.HasPrefix(c.as, "/") && !strings.Contains(c.as, "://"):
		return usage("--as is %q; allowed is an absolute path, or a URI such as s3a://bucket/prefix", c.as)
	}
	return nil
}

// target is the directory of the new root. What lies beside a mount point is not on
// its volume, and would go with the container.
func (c *rewindCommand) target(root string) (string, error) {
	if c.copyTo != "" {
		return c.copyTo, nil
	}
	at, err := filepath.Abs(root)
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return "", fmt.Errorf("find ROOT: %w", err)
	}
	own, err := os.Stat(at)
	if err != nil {
		return "", fmt.Errorf("find ROOT: %w", err)
	}
	above, err := os.Stat(filepath.Dir(at))
	if err != nil {
		return "", fmt.Errorf("find ROOT: %w", err)
	}
	if volumeOf(own).Device != volumeOf(above).Device {
		return "", usage("ROOT %s is a mount point, so a new root beside it would not be on its volume; say where it is to be with --copy-to, or work in place with --writers-terminated", at)
	}
	return at + "-rewound", nil
}

// noRoot names the roots that lie below a directory that is none.
func (c *rewindCommand) noRoot(ctx context.Context, root string, err error) error {
	src, openErr := checkpoint.OpenDir(root)
	if openErr != nil {
		return err
	}
	defer src.Close()
	return (&verifyCommand{agent: c.agent}).noRoot(ctx, src, err)
}

func writeRewind(w io.Writer, r *rewind.Result) {
	for _, p := range r.Passed {
		fmt.Fprintf(w, "Batch %d was passed over: %s\n", p.Batch, p.Reason)
	}
	switch {
	case r.Unchanged:
		fmt.Fprintf(w, "%s is at batch %d already and in order.\n", r.Target, r.Batch)
		return
	case r.InPlace:
		fmt.Fprintf(w, "%s is at batch %d; %d files were moved to %s.\n", r.Root, r.Batch, r.Moved, filepath.Join(r.Root, r.Trash))
	default:
		fmt.Fprintf(w, "%s is a new root at batch %d; %d files were copied. %s is as it was, and nothing stops a driver that still lives on it.\n", r.Target, r.Batch, r.Copied, r.Root)
	}
	if len(r.Rewritten) > 0 {
		fmt.Fprintf(w, "Rewritten, since they named another place: %s\n", strings.Join(r.Rewritten, ", "))
	}
	if r.From > r.Batch {
		fmt.Fprintf(w, "Batches %d to %d come again with other ranges. A sink that remembers them skips them, with new rows: see docs/runbooks/rewind.md.\n", r.Batch+1, r.From)
	}
}

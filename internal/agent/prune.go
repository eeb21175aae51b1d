// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/backup"
)

type pruneResult struct {
	Place  string `json:"place"`
	DryRun bool   `json:"dryRun,omitempty"`
	backup.PruneReport
}

type pruneCommand struct {
	*agent
	where   repositoryFlags
	keepFor time.Duration
	dryRun  bool
}

func (a *agent) pruneCommand() *cobra.Command {
	c := &pruneCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove recovery points that are too old, and what no point needs",
		Long: `Remove recovery points older than the retention, and objects that no point
names. The newest verified point stays whatever its age, and nothing is removed
while no point is verified. It may run beside a backup.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.where.add(flags)
	c.where.addWriting(flags)
	flags.DurationVar(&c.keepFor, "keep-for", 0, "age up to which points stay, at least 24h (default the configuration's retention)")
	flags.BoolVar(&c.dryRun, "dry-run", false, "say what would be removed and remove nothing")
	a.outputFlag(cmd)
	return cmd
}

func (c *pruneCommand) run(ctx context.Context, _ []string) error {
	p := c.newProgress()
	defer p.done()
	repo, err := c.repository(ctx, &c.where, p.report)
	if err != nil {
		return err
	}
	keepFor, err := retention(c.keepFor, repo.config)
	if err != nil {
		return err
	}
	report, err := repo.Prune(ctx, backup.PruneOptions{Holder: repo.holder, KeepFor: keepFor, DryRun: c.dryRun})
	p.done()
	if errors.Is(err, backup.ErrNoPoint) {
		report, err = &backup.PruneReport{Kept: []string{}, Removed: []string{}}, nil // nothing was ever backed up: a pipeline on its first day
	}
	if report == nil {
		return err
	}
	result := pruneResult{repo.place, c.dryRun, *report}
	return join(err, c.print(result, result.text), blocked(report))
}

// retention is how long points stay.
func retention(flag time.Duration, conf *config.Config) (time.Duration, error) {
	switch {
	case flag > 0:
		return flag, nil
	case flag < 0:
		return 0, usage("--keep-for is %s; allowed is more than 0, such as 168h", flag)
	case conf != nil && conf.Backup.Checkpoint.Retention != "":
		return conf.Backup.Checkpoint.Retention.Duration(), nil
	default:
		return 0, usage("no retention is given; set --keep-for, or backup.checkpoint.retention in the file of --config")
	}
}

// blocked makes a finding of what keeps garbage from being collected.
func blocked(report *backup.PruneReport) error {
	if report.Blocked == "" {
		return nil
	}
	return withCode(CodeFinding, fmt.Errorf("prune: nothing was collected, since nobody knows what an unreadable point needs: %s", report.Blocked))
}

func (r pruneResult) text(w io.Writer) {
	verb, collected := "removed", "Collected"
	if r.DryRun {
		verb, collected = "would remove", "Would collect"
	}
	for _, id := range r.Removed {
		fmt.Fprintf(w, "%s\t%s\n", id, verb)
	}
	for _, id := range r.Kept {
		why := "kept"
		if id == r.NewestVerified {
			why = "kept (newest verified)"
		}
		fmt.Fprintf(w, "%s\t%s\n", id, why)
	}
	fmt.Fprintf(w, "%s %d objects of %s; %d wait until they may be collected.\n", collected, r.CollectedObjects, size(r.CollectedBytes), r.Condemned)
}

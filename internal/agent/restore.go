// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
)

type restoreResult struct {
	Place  string `json:"place"`
	Target string `json:"target"`
	// Record is what the target says about where its content came from.
	Record *backup.RestoreRecord `json:"record"`
	// Roots as they were judged; empty when an earlier run completed the restore.
	Roots []judgedRoot `json:"roots,omitempty"`
}

type restoreCommand struct {
	*agent
	where      repositoryFlags
	kafka      kafkaFlags
	point      string
	at         string
	batches    []string
	roots      []string
	unverified bool
	level      int
	as         string
}

func (a *agent) restoreCommand() *cobra.Command {
	c := &restoreCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "restore TARGET",
		Short: "Bring a recovery point back to an empty directory or prefix",
		Long: `Restore a recovery point to an empty directory, or to an empty prefix of a bucket,
s3://BUCKET/PREFIX, each query root below its own name. Without a choice it is the newest point that was found whole. Every byte is
compared with its hash. Files that name the place where a root was made are then
rewritten for the new one, and the roots are verified: what would not start is an
error, and the record in the target stays Incomplete. So is an offset of Kafka that
is not at the brokers any more, and a topic that was created again, if brokers are
given; --accept-kafka says which of that is no obstacle. What was interrupted goes
on with the same command line and the same point; a target that holds anything
else is refused. The backup itself is only read.`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.where.add(flags)
	c.where.addWriting(flags)
	c.kafka.add(flags)
	c.kafka.addAccept(flags)
	flags.StringVar(&c.point, "point", "", "id of the point")
	flags.StringVar(&c.at, "at", "", "take the newest point that was begun at this time or before, such as 2026-05-04T12:00:00Z")
	flags.StringArrayVar(&c.batches, "batch", nil, "take the newest point that is not past this batch: ROOT=N, or N of the only query root; may be repeated")
	flags.StringArrayVar(&c.roots, "root", nil, "query root to restore; may be repeated (default all)")
	flags.BoolVar(&c.unverified, "unverified", false, "also take a point that was not verified")
	flags.IntVar(&c.level, "level", checkpoint.LevelChecksums, "highest level of verification, 1 to 6")
	flags.StringVar(&c.as, "as", "", "absolute path or URI at which the query will find the target, such as where it will be mounted (default where it is)")
	a.outputFlag(cmd)
	return cmd
}

func (c *restoreCommand) run(ctx context.Context, args []string) error {
	if err := checkLevel(c.level); err != nil {
		return err
	}
	if err := c.checkPlace(); err != nil {
		return err
	}
	p := c.newProgress()
	defer p.done()
	repo, err := c.repository(ctx, &c.where, p.report)
	if err != nil {
		return err
	}
	ask, err := c.kafka.open(repo.config)
	if err != nil {
		return err
	}
	defer ask.close()
	target, err := c.target(args[0], repo)
	if err != nil {
		return err
	}
	id, err := c.choose(ctx, repo, target)
	if err != nil {
		return err
	}
	result, err := c.bring(ctx, repo, target, id, &rootJudge{target: target, progress: p, kafka: ask, accept: c.kafka.accept})
	if err != nil {
		return err
	}
	p.done()
	return c.print(result, result.text)
}

// checkPlace refuses a place at which no query can find a checkpoint.
func (c *restoreCommand) checkPlace() error {
	if c.as != "" && !strings.HasPrefix(c.as, "/") && !strings.Contains(c.as, "://") {
		return usage("--as is %q; allowed is an absolute path, or a URI such as s3a://bucket/prefix", c.as)
	}
	return nil
}

// bring restores a point to the target and has it judged.
func (c *restoreCommand) bring(ctx context.Context, repo *repository, target restoreTarget, id string, j *rootJudge) (restoreResult, error) {
	place := target.place(".")
	c.log.Info("Restoring", "point", id, "from", repo.place, "to", place)
	j.as, j.level = first(c.as, place), c.level
	options := backup.RestoreOptions{Point: id, Roots: c.roots, Place: j.as, Judge: j.record}
	options.Target, options.Bucket = target.of()
	record, err := repo.Restore(ctx, options)
	return restoreResult{repo.place, place, record, j.roots}, err
}

// choose finds the point. What was begun without naming one goes on with the
// point of its first run, even if there is a newer one by now.
func (c *restoreCommand) choose(ctx context.Context, repo *repository, target restoreTarget) (string, error) {
	if c.point != "" {
		if c.at != "" || len(c.batches) > 0 {
			return "", usage("--point names one point; --at and --batch are not allowed beside it")
		}
		return c.point, nil
	}
	points, err := repo.Points(ctx)
	if err != nil {
		return "", err
	}
	selector, err := c.selector(points)
	if err != nil {
		return "", err
	}
	if c.at == "" && len(c.batches) == 0 {
		if id := begun(ctx, target); id != "" {
			return id, nil
		}
	}
	point, err := backup.Select(points, selector)
	if err != nil {
		return "", fmt.Errorf("choose a point of %s: %w", repo.place, err)
	}
	return point.ID, nil
}

// begun returns the point of an unfinished restore.
func begun(ctx context.Context, target restoreTarget) string {
	at, bucket := target.of()
	record, err := backup.ReadRestoreRecord(ctx, bucket, at)
	if err != nil || record == nil || record.State == backup.RestoreComplete {
		return ""
	}
	return record.Point
}

func (c *restoreCommand) selector(points []backup.Point) (backup.Selector, error) {
	s := backup.Selector{Unverified: c.unverified, MaxBatch: map[string]int64{}}
	if c.at != "" {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			return s, usage("--at is %q; allowed is a time such as 2026-05-04T12:00:00Z", c.at)
		}
		s.NotAfter = at
	}
	for _, text := range c.batches {
		root, number := "", text
		if i := strings.LastIndexByte(text, '='); i >= 0 {
			root, number = text[:i], text[i+1:]
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 {
			return s, usage("--batch is %q; allowed is ROOT=N or N with a whole number", text)
		}
		if root == "" {
			if root, err = onlyRoot(points); err != nil {
				return s, err
			}
		}
		s.MaxBatch[root] = n
	}
	return s, nil
}

// onlyRoot is the query root of points that all have the same one.
func onlyRoot(points []backup.Point) (string, error) {
	names := map[string]bool{}
	for _, p := range points {
		if p.Manifest == nil {
			continue
		}
		for _, root := range p.Manifest.Roots {
			names[root.Root] = true
		}
	}
	if len(names) > 1 {
		return "", usage("--batch needs ROOT=N, since the points have several query roots: %s", strings.Join(slices.Sorted(maps.Keys(names)), ", "))
	}
	for name := range names {
		return name, nil
	}
	return ".", nil
}

func (r restoreResult) text(w io.Writer) {
	fmt.Fprintf(w, "Restored point %s to %s: %d files, %s.\n", r.Record.Point, r.Target, r.Record.Files, size(r.Record.Bytes))
	fmt.Fprintln(w, "ROOT\tBATCH\tQUERY\tSTATE STORE")
	for _, root := range r.Record.Roots {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", root.Root, root.Batch, root.QueryID, root.Provider)
	}
	for _, root := range r.Roots {
		writeKafka(w, root.Kafka)
	}
	if len(r.Record.Rewritten) > 0 {
		fmt.Fprintf(w, "Rewritten, since they named another place than %s: %s\n", r.Record.Place, strings.Join(r.Record.Rewritten, ", "))
	}
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/kafka"
)

type backupResult struct {
	Place string    `json:"place"`
	Point pointInfo `json:"point"`
	// Absent roots have nothing to back up yet, with the reason.
	Absent map[string]string `json:"absent,omitempty"`
	// Skipped are committed batches newer than the point's, by root, that no
	// restore could go on from.
	Skipped map[string][]int64 `json:"skipped,omitempty"`
	// Kafka are findings about the sources, by root. They keep nothing from being
	// backed up.
	Kafka map[string][]kafka.Finding `json:"kafka,omitempty"`
	// Pruned is absent when nothing was to be pruned.
	Pruned *backup.PruneReport `json:"pruned,omitempty"`
}

type backupCommand struct {
	*agent
	where        repositoryFlags
	kafka        kafkaFlags
	root         string
	queries      []string
	without      []string
	sparkVersion string
	attempts     int
	keepFor      time.Duration
	keepAll      bool
	takeOver     string
}

func (a *agent) backupCommand() *cobra.Command {
	c := &backupCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Make a recovery point of a pipeline, while it runs",
		Long: `Copy the newest restorable batch of every query root into a bucket, as one new
recovery point, and verify it. The query may run meanwhile: when it removes what
is being copied, a newer batch is taken. Files that the point before has are not
sent again. Afterwards points older than the retention are pruned. Of topics that
are read from Kafka the point records id, begin and end, if brokers are given;
what they do not tell is recorded as not known.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.where.add(flags)
	c.where.addWriting(flags)
	c.kafka.add(flags)
	flags.StringVar(&c.where.storageClass, "storage-class", "", "storage class of the objects (default the bucket's)")
	flags.StringVar(&c.root, "root", "", "directory or s3a:// prefix that holds the query roots (default the configuration's)")
	flags.StringArrayVar(&c.queries, "query", nil, "query root below --root; may be repeated (default the configuration's, or those that are found)")
	flags.StringArrayVar(&c.without, "without", nil, "query root that the newest point has and this one may lack; may be repeated")
	flags.StringVar(&c.sparkVersion, "spark-version", "", "Spark version to record (default the configuration's)")
	flags.IntVar(&c.attempts, "attempts", 5, "attempts when the running query overtakes the copy")
	flags.DurationVar(&c.keepFor, "keep-for", 0, "age up to which points stay (default the configuration's retention, or for ever)")
	flags.BoolVar(&c.keepAll, "keep-all", false, "prune nothing")
	flags.StringVar(&c.takeOver, "take-over", "", "take the prefix over from its owner, for this reason; the former owner's next run refuses")
	a.outputFlag(cmd)
	return cmd
}

func (c *backupCommand) run(ctx context.Context, _ []string) (err error) {
	p := c.newProgress()
	defer p.done()
	repo, err := c.repository(ctx, &c.where, p.report)
	if err != nil {
		return err
	}
	plan, err := c.planner(repo.config)
	if err != nil {
		return err
	}
	defer func() { err = join(err, plan.close()) }()
	if err := c.claim(ctx, repo, plan); err != nil {
		return err
	}
	manifest, backupErr := repo.Backup(ctx, backup.BackupOptions{Holder: repo.holder, Plan: plan.plan, Attempts: c.attempts})
	p.done()
	if manifest == nil {
		return backupErr
	}
	result := backupResult{Place: repo.place, Point: pointOf(manifest, backupErr), Absent: plan.absent, Skipped: plan.skipped, Kafka: plan.findings}
	if backupErr == nil {
		result.Pruned, backupErr = c.prune(ctx, repo)
		p.done()
	}
	return join(backupErr, c.print(result, result.text))
}

// claim takes the prefix over when that is asked for, and finds out what the
// point before has.
func (c *backupCommand) claim(ctx context.Context, repo *repository, plan *planner) error {
	if c.takeOver != "" {
		record, err := repo.Takeover(ctx, repo.holder, c.takeOver)
		if err != nil {
			return err
		}
		c.log.Info("The prefix has this owner", "epoch", record.Epoch)
	}
	newest, err := repo.Newest(ctx)
	if err != nil || newest == nil {
		return err
	}
	for _, root := range newest.Roots {
		declared := len(plan.declared) == 0 || slices.Contains(plan.declared, root.Root)
		if declared && !slices.Contains(c.without, root.Root) {
			plan.required = append(plan.required, root.RootInfo)
		}
	}
	return nil
}

// prune applies the retention. The point was made whatever comes of it.
func (c *backupCommand) prune(ctx context.Context, repo *repository) (*backup.PruneReport, error) {
	if c.keepAll || c.keepFor == 0 && repo.config == nil {
		return nil, nil
	}
	keepFor, err := retention(c.keepFor, repo.config)
	if err != nil {
		return nil, err
	}
	report, err := repo.Prune(ctx, backup.PruneOptions{Holder: repo.holder, KeepFor: keepFor})
	if err != nil {
		return report, fmt.Errorf("the recovery point was made and verified: %w", err)
	}
	return report, blocked(report)
}

// planner says where the query roots are.
func (c *backupCommand) planner(conf *config.Config) (*planner, error) {
	p := &planner{declared: c.queries, sparkVersion: c.sparkVersion, log: c.log}
	var err error
	if p.kafka, err = c.kafka.open(conf); err != nil {
		return nil, err
	}
	root := c.root
	if conf != nil {
		p.sparkVersion = first(p.sparkVersion, conf.SparkVersion)
		if root == "" {
			root = conf.Root
		}
		if len(p.declared) == 0 && c.root == "" {
			p.declared = conf.QueryPaths()
		}
	}
	if root == "" {
		return nil, usage("no checkpoint is given; set --root or --config")
	}
	bucket, below, ok := splitLocation(root)
	if !ok {
		path, err := filepath.Abs(root)
		if err != nil {
			return nil, usage("--root %q: %w", root, err)
		}
		p.at = directory{path}
		return p, nil
	}
	o := c.where.options(conf, bucket)
	o.StorageClass = ""
	store, err := c.connect(o)
	if err != nil {
		return nil, err
	}
	p.at = prefix{store, bucket, below}
	return p, nil
}

// pointOf describes a point that was just made, and verified without problem.
func pointOf(m *backup.Manifest, problem error) pointInfo {
	info := describe(&backup.Point{ID: m.ID, Manifest: m, Written: m.CompletedAt})
	info.State = pointVerified
	if problem != nil {
		info.State, info.Problem = pointUnverified, problem.Error()
	}
	return info
}

func (r backupResult) text(w io.Writer) {
	p := r.Point
	fmt.Fprintf(w, "Made recovery point %s below %s: %d files, %s; sent %d files, %s.\n",
		p.ID, r.Place, p.Files, size(p.Bytes), p.SentFiles, size(p.SentBytes))
	fmt.Fprintln(w, "ROOT\tBATCH\tFILES\tSIZE\tSTATE STORE")
	for _, root := range p.Roots {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", root.Root, root.Batch, root.Files, size(root.Bytes), root.Provider)
	}
	for _, root := range slices.Sorted(maps.Keys(r.Absent)) {
		fmt.Fprintf(w, "%s\tleft out: %s\n", root, r.Absent[root])
	}
	for _, root := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(w, "%s\tbatches %v are newer, but not restorable\n", root, r.Skipped[root])
	}
	for _, root := range slices.Sorted(maps.Keys(r.Kafka)) {
		for _, f := range r.Kafka[root] {
			fmt.Fprintf(w, "%s\tKafka: %s\n", root, f.Message)
		}
	}
	if r.Pruned != nil {
		fmt.Fprintf(w, "Pruned %d points; collected %d objects of %s.\n", len(r.Pruned.Removed), r.Pruned.CollectedObjects, size(r.Pruned.CollectedBytes))
	}
}

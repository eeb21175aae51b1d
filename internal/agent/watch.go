// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/watch"
)

// slowestStart is the least time between two looks into a bucket: each is a paid
// request.
const slowestStart = 15 * time.Second

type watchCommand struct {
	*agent
	where       repositoryFlags
	root        string
	queries     []string
	listen      string
	pace        watch.Pace
	deepLevel   int
	stallAfter  time.Duration
	mounted     string
	pointsEvery time.Duration
	kafka       kafkaFlags
	lagEvery    time.Duration
}

func (a *agent) watchCommand() *cobra.Command {
	c := &watchCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch the checkpoint of a pipeline and serve what is seen",
		Long: `Look at the query roots of a pipeline again and again, without writing to them,
and serve what is seen until a signal comes:

  /metrics  for Prometheus
  /status   JSON: everything
  /readyz   200 while every query makes progress, its checkpoint is sound and no
            second writer left a trace; else 503, with the reasons
  /livez    200 while the process runs

Exit code: 0 after a signal, 1 when the address cannot be served.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.where.add(flags)
	flags.StringVar(&c.root, "root", "", "directory or s3a:// prefix that holds the query roots (default the configuration's)")
	flags.StringArrayVar(&c.queries, "query", nil, "query root below --root; may be repeated (default the configuration's, or those that are found)")
	flags.StringVar(&c.listen, "listen", ":8082", "address to serve on")
	flags.DurationVar(&c.pace.Fastest, "fastest", time.Second, "least time between two looks; in between half the trigger interval counts (15s at least for a bucket)")
	flags.DurationVar(&c.pace.Slowest, "slowest", time.Minute, "most time between two looks")
	flags.DurationVar(&c.pace.Shallow, "verify-every", time.Minute, "least time between two verifications up to level 3; on a slow volume they are rarer")
	flags.DurationVar(&c.pace.Deep, "deep-every", 5*time.Minute, "least time between two verifications that look at state")
	flags.IntVar(&c.deepLevel, "deep-level", checkpoint.LevelStructure, "level of those, 4 to 6; 5 and 6 read the state")
	flags.DurationVar(&c.stallAfter, "stall-after", 5*time.Minute, "how long a batch may be under way")
	flags.StringVar(&c.mounted, "mounted", "", "directory with mounted Secrets and ConfigMaps as KIND/NAME, of which digests are shown")
	flags.DurationVar(&c.pointsEvery, "points-every", 15*time.Minute, "time between two listings of the recovery points; 0: never")
	c.kafka.add(flags)
	flags.DurationVar(&c.lagEvery, "lag-every", 15*time.Second, "time between two readings of the lag behind Kafka, if brokers are given")
	return cmd
}

func (c *watchCommand) run(ctx context.Context, _ []string) error {
	w, err := c.watcher()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.listen)
	if err != nil {
		return withCode(CodeFailed, fmt.Errorf("serve on --listen %s: %w", c.listen, err))
	}
	c.listening(listener.Addr())
	err = w.serve(ctx, listener)
	c.result = w.status()
	return withCode(CodeFailed, err)
}

func (c *watchCommand) check() error {
	for _, span := range []struct {
		flag  string
		value time.Duration
	}{
		{"fastest", c.pace.Fastest}, {"slowest", c.pace.Slowest}, {"verify-every", c.pace.Shallow}, {"deep-every", c.pace.Deep}, {"stall-after", c.stallAfter}, {"lag-every", c.lagEvery},
	} {
		if span.value <= 0 {
			return usage("--%s is %s; allowed is a duration longer than 0s", span.flag, span.value)
		}
	}
	if c.pace.Slowest < c.pace.Fastest {
		return usage("--slowest is %s and --fastest %s; allowed is the same or longer", c.pace.Slowest, c.pace.Fastest)
	}
	if c.pointsEvery < 0 {
		return usage("--points-every is %s; allowed is 0 or longer", c.pointsEvery)
	}
	for i, q := range c.queries {
		if !filepath.IsLocal(q) || slices.ContainsFunc(c.queries[:i], func(o string) bool { return path.Clean(o) == path.Clean(q) }) {
			return usage("--query is %q; allowed is a path below --root, once", q)
		}
	}
	if c.deepLevel < checkpoint.LevelStructure || c.deepLevel > checkpoint.LevelChecksums {
		return usage("--deep-level is %d; allowed are %d to %d", c.deepLevel, checkpoint.LevelStructure, checkpoint.LevelChecksums)
	}
	return nil
}

func (c *watchCommand) watcher() (*watcher, error) {
	conf, err := c.config()
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	w := &watcher{log: c.changes(), now: time.Now, deepLevel: c.deepLevel, mounted: c.mounted, pointsEvery: c.pointsEvery, stallAfter: c.stallAfter, stopWithin: stopWithin, lagEvery: c.lagEvery}
	if w.kafka, err = c.kafka.open(conf); err != nil {
		return nil, err
	}
	if err := c.place(conf, w); err != nil {
		return nil, err
	}
	if conf != nil {
		w.pipeline = conf.Pipeline
	}
	if c.pointsEvery > 0 && (c.where.bucket != "" || conf != nil && conf.BackupPrefix != "") {
		w.points = c.readPoints
	}
	declared := c.declared(conf)
	w.discovers = len(declared) == 0
	w.state = watch.New(c.pace, declared...)
	return w, nil
}

// changes logs what changes; a healthy pipeline is silent.
func (c *watchCommand) changes() *slog.Logger {
	level := slog.LevelInfo
	switch {
	case c.quiet:
		level = slog.LevelWarn
	case c.verbose:
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.env.ErrOut, &slog.HandlerOptions{Level: level}))
}

// place finds out where the query roots are.
func (c *watchCommand) place(conf *config.Config, w *watcher) error {
	root := c.root
	if root == "" && conf != nil {
		// Mounted where Spark has it: what records absolute paths can be judged.
		root, w.inPlace = conf.Root, true
	}
	if root == "" {
		return usage("no checkpoint is given; set --root or --config")
	}
	bucket, below, ok := splitLocation(root)
	if !ok {
		dir, err := filepath.Abs(root)
		if err != nil {
			return usage("--root %q: %w", root, err)
		}
		w.at = directory{dir}
		return nil
	}
	store, err := c.connect(c.where.options(conf, bucket))
	if err != nil {
		return err
	}
	c.pace.Fastest = max(c.pace.Fastest, slowestStart)
	c.pace.Slowest = max(c.pace.Slowest, slowestStart)
	w.at = prefix{store, bucket, below}
	return nil
}

func (c *watchCommand) declared(conf *config.Config) []watch.Declared {
	var out []watch.Declared
	if conf != nil && c.root == "" && len(c.queries) == 0 {
		for i, p := range conf.QueryPaths() {
			q := conf.Queries[i]
			out = append(out, watch.Declared{Name: q.Name, Path: p, Trigger: q.Trigger.Duration(), StallAfter: c.stallAfter, Since: time.Now()})
		}
		return out
	}
	for _, q := range c.queries {
		out = append(out, watch.Declared{Name: path.Clean(q), Path: path.Clean(q), StallAfter: c.stallAfter, Since: time.Now()})
	}
	return out
}

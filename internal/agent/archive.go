// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/agent/eventlog"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// phaseArchive is when event logs are sent.
const phaseArchive backup.Phase = "archive"

type archiveResult struct {
	// Place is bucket and prefix.
	Place        string `json:"place"`
	Logs         string `json:"logs"`
	StorageClass string `json:"storageClass,omitempty"`
	DryRun       bool   `json:"dryRun,omitempty"`
	// Archived logs, or those that would be.
	Archived []archivedLog `json:"archived"`
	Kept     []keptLog     `json:"kept"`
}

type archivedLog struct {
	Name  string `json:"name"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

type keptLog struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type archiveCommand struct {
	*agent
	store     storeFlags
	logs      string
	olderThan time.Duration
	dryRun    bool
}

func (a *agent) archiveCommand() *cobra.Command {
	c := &archiveCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Move the event logs of finished applications into a bucket",
		Long: `Move the event logs of applications that finished, and that nobody has touched
for a while, into a bucket. An application is moved as a whole, and removed from
the directory only when the store has all of it. What is in progress stays.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.store.add(flags)
	c.store.addWriting(flags)
	flags.StringVar(&c.store.storageClass, "storage-class", "", "storage class of the logs, such as GLACIER (default the configuration's, or the bucket's)")
	flags.StringVar(&c.logs, "logs", "", "directory of the event logs (default the configuration's)")
	flags.DurationVar(&c.olderThan, "older-than", 0, "time without a change after which a log is moved, such as 168h (default the configuration's)")
	flags.BoolVar(&c.dryRun, "dry-run", false, "say what would be moved and move nothing")
	a.outputFlag(cmd)
	return cmd
}

func (c *archiveCommand) run(ctx context.Context, _ []string) error {
	conf, err := c.config()
	if err != nil {
		return err
	}
	if err := c.complete(conf); err != nil {
		return err
	}
	dir, err := os.OpenRoot(c.logs)
	if err != nil {
		return fmt.Errorf("open the directory of the event logs: %w", err)
	}
	defer dir.Close()
	archive, place, err := c.archive(conf, dir)
	if err != nil {
		return err
	}
	logs, err := eventlog.Scan(dir)
	if err != nil {
		return err
	}
	result := archiveResult{Place: place, Logs: c.logs, StorageClass: c.store.storageClass, DryRun: c.dryRun, Archived: []archivedLog{}, Kept: []keptLog{}}
	failed := c.all(ctx, archive, logs, &result)
	return join(failed, c.print(result, result.text))
}

// complete takes from the configuration what no flag says.
func (c *archiveCommand) complete(conf *config.Config) error {
	if conf != nil {
		c.logs = first(c.logs, conf.EventLogs)
		c.store.bucket = first(c.store.bucket, string(conf.ObjectStore.Buckets.Archives))
		if !c.store.changed("prefix") {
			c.store.prefix = conf.ArchivePrefix
		}
		c.store.storageClass = first(c.store.storageClass, conf.Backup.EventLogArchive.StorageClass)
		if c.olderThan == 0 {
			c.olderThan = conf.Backup.EventLogArchive.After.Duration()
		}
	}
	switch {
	case c.store.bucket == "":
		return usage("no bucket is given; set --bucket, or objectStore.buckets.archives in the file of --config")
	case c.logs == "":
		return usage("no directory is given; set --logs, or eventLogs in the file of --config")
	case c.olderThan <= 0:
		return usage("--older-than is %s; allowed is more than 0, such as 168h", c.olderThan)
	}
	return nil
}

func (c *archiveCommand) archive(conf *config.Config, dir *os.Root) (*eventlog.Archive, string, error) {
	o := c.store.options(conf, c.store.bucket)
	logs, err := c.connect(o)
	if err != nil {
		return nil, "", err
	}
	o.StorageClass = ""
	records, err := c.connect(o)
	if err != nil {
		return nil, "", err
	}
	prefix := folder(c.store.prefix)
	return &eventlog.Archive{Dir: dir, Logs: logs, Records: records, Prefix: prefix, Now: time.Now}, c.store.bucket + "/" + prefix, nil
}

// all archives what is due. What is wrong with one log does not keep the others;
// what is wrong with the store does.
func (c *archiveCommand) all(ctx context.Context, archive *eventlog.Archive, logs []eventlog.Log, result *archiveResult) error {
	p := c.newProgress()
	defer p.done()
	state := backup.Progress{Phase: phaseArchive}
	var due []*eventlog.Log
	for i := range logs {
		l := &logs[i]
		if reason := l.Due(archive.Now(), c.olderThan); reason != "" {
			result.Kept = append(result.Kept, keptLog{l.Name, reason})
			continue
		}
		due = append(due, l)
		state.TotalFiles += int64(len(l.Files))
		state.TotalBytes += l.Bytes()
	}
	archive.Progress = func(files, bytes int64) {
		state.Files, state.Bytes = state.Files+files, state.Bytes+bytes
		p.report(state)
	}
	if !c.dryRun {
		if err := archive.Sweep(); err != nil {
			return err
		}
	}
	var failed []error
	for _, l := range due {
		if err := c.one(ctx, archive, l); err != nil {
			failed = append(failed, err)
			result.Kept = append(result.Kept, keptLog{l.Name, err.Error()})
			if _, store := errors.AsType[*objectstore.Error](err); store || ctx.Err() != nil {
				break
			}
			continue
		}
		result.Archived = append(result.Archived, archivedLog{l.Name, len(l.Files), l.Bytes()})
	}
	return errors.Join(failed...)
}

func (c *archiveCommand) one(ctx context.Context, archive *eventlog.Archive, l *eventlog.Log) error {
	if c.dryRun {
		return nil
	}
	c.log.Info("Archiving", "log", l.Name, "files", len(l.Files), "bytes", l.Bytes())
	return archive.Move(ctx, l)
}

func (r archiveResult) text(w io.Writer) {
	verb := "archived"
	if r.DryRun {
		verb = "would be archived"
	}
	fmt.Fprintln(w, "EVENT LOG\tRESULT\tFILES\tSIZE")
	for _, l := range r.Archived {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", l.Name, verb, l.Files, size(l.Bytes))
	}
	for _, l := range r.Kept {
		fmt.Fprintf(w, "%s\tkept: %s\t\t\n", l.Name, l.Reason)
	}
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// Purposes of a bucket.
const (
	purposeInput       = "input"
	purposeOutput      = "output"
	purposeCheckpoints = "checkpoints"
	purposeBackups     = "backups"
	purposeArchives    = "archives"
	purposeGiven       = "given"
)

// ownFolder is where a probe goes in a bucket that belongs to the application:
// Spark and Hive pass over names that begin with an underscore.
const ownFolder = "_sparkpipeline/"

// checkBackoff is short: who waits for the answer wants to know what is wrong now.
var checkBackoff = objectstore.Backoff{Attempts: 3, First: 200 * time.Millisecond, Longest: time.Second}

type checkResult struct {
	Healthy bool          `json:"healthy"`
	Buckets []bucketCheck `json:"buckets"`
}

type bucketCheck struct {
	Purpose string       `json:"purpose"`
	Bucket  string       `json:"bucket"`
	Prefix  string       `json:"prefix,omitempty"`
	Rights  []rightCheck `json:"rights"`
	// ConditionalWrites tells whether the store honours If-None-Match, for the
	// bucket of the recovery points; absent where it was not found out.
	ConditionalWrites *bool `json:"conditionalWrites,omitempty"`
}

// rightCheck is one permission. Granted is absent when an earlier right is
// missing without which this one cannot be judged.
type rightCheck struct {
	Action  string `json:"action"`
	Granted *bool  `json:"granted,omitempty"`
	// Kind of the failure, as the object store client names it.
	Kind    string `json:"kind,omitempty"`
	Message string `json:"message,omitempty"`
}

// target is a bucket to check.
type target struct {
	purpose, bucket, prefix string
	readOnly                bool
}

type checkCommand struct {
	*agent
	store    storeFlags
	readOnly bool
	timeout  time.Duration
}

func (a *agent) checkCommand() *cobra.Command {
	c := &checkCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find out which rights the credentials lack in each bucket",
		Long: `Write, list, read and delete a probe object in each bucket of the configuration,
or in the one that --bucket names, and tell which right is missing. An input
bucket is listed and read only.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.store.add(flags)
	c.store.addWriting(flags)
	flags.BoolVar(&c.readOnly, "read-only", false, "only list and read in the bucket of --bucket")
	flags.DurationVar(&c.timeout, "timeout", time.Minute, "longest time for each bucket")
	a.outputFlag(cmd)
	return cmd
}

func (c *checkCommand) run(ctx context.Context, _ []string) error {
	conf, err := c.config()
	if err != nil {
		return err
	}
	targets := c.targets(conf)
	if len(targets) == 0 {
		return usage("no bucket is given; set --bucket or --config")
	}
	result := checkResult{Healthy: true}
	var missing []error
	for _, t := range targets {
		checked, problems, err := c.bucket(ctx, conf, t)
		if err != nil {
			return err
		}
		result.Buckets = append(result.Buckets, checked)
		missing = append(missing, problems...)
	}
	result.Healthy = len(missing) == 0
	if err := c.print(result, result.text); err != nil {
		return err
	}
	return summary(missing)
}

// summary is the error for what is missing; its code is that of the first cause.
func summary(missing []error) error {
	if len(missing) == 0 {
		return nil
	}
	err := fmt.Errorf("check: %w", missing[0])
	if more := len(missing) - 1; more > 0 {
		err = fmt.Errorf("%w; and %d more", err, more)
	}
	return err
}

func (c *checkCommand) targets(conf *config.Config) []target {
	if c.store.bucket != "" {
		prefix := strings.Trim(c.store.prefix, "/")
		if prefix != "" {
			prefix += "/"
		}
		return []target{{purposeGiven, c.store.bucket, prefix, c.readOnly}}
	}
	if conf == nil {
		return nil
	}
	buckets := conf.ObjectStore.Buckets
	all := []target{
		{purposeInput, string(buckets.Input), "", true},
		{purposeOutput, string(buckets.Output), ownFolder, false},
		{purposeCheckpoints, string(buckets.Checkpoints), ownFolder, false},
		{purposeBackups, string(buckets.Backups), folder(conf.BackupPrefix), false},
		{purposeArchives, string(buckets.Archives), folder(conf.ArchivePrefix), false},
	}
	if bucket, prefix, ok := splitLocation(conf.Root); ok {
		all[2].bucket, all[2].prefix = bucket, prefix+ownFolder
	}
	return slices.DeleteFunc(all, func(t target) bool { return t.bucket == "" })
}

func folder(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return ""
	}
	return prefix + "/"
}

// splitLocation takes an s3a:// or s3:// address apart; the prefix ends with a slash.
func splitLocation(location string) (bucket, prefix string, ok bool) {
	rest, ok := strings.CutPrefix(location, "s3a://")
	if !ok {
		rest, ok = strings.CutPrefix(location, "s3://")
	}
	if !ok {
		return "", "", false
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	return bucket, folder(prefix), true
}

func (c *checkCommand) bucket(ctx context.Context, conf *config.Config, t target) (bucketCheck, []error, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	o := c.store.options(conf, t.bucket)
	o.Backoff, o.Idle = checkBackoff, 10*time.Second
	store, err := c.connect(o)
	if err != nil {
		return bucketCheck{}, nil, err
	}
	rights := objectstore.ReadRights
	if !t.readOnly {
		rights = objectstore.Rights
	}
	checked, missing := inOrder(t, rights(ctx, store, t.prefix))
	if t.purpose == purposeBackups && len(missing) == 0 {
		honoured, err := objectstore.ProbeConditional(ctx, store, t.prefix)
		if err != nil {
			missing = append(missing, err)
		} else {
			checked.ConditionalWrites = &honoured
		}
	}
	return checked, missing, nil
}

// inOrder puts rights into the order of all, with those that could not be judged.
func inOrder(t target, found []objectstore.Right) (bucketCheck, []error) {
	checked := bucketCheck{Purpose: t.purpose, Bucket: t.bucket, Prefix: t.prefix}
	var missing []error
	for _, action := range []string{"s3:PutObject", "s3:ListBucket", "s3:GetObject", "s3:DeleteObject"} {
		i := slices.IndexFunc(found, func(r objectstore.Right) bool { return r.Action == action })
		right := rightCheck{Action: action}
		switch {
		case i >= 0:
			granted := found[i].Err == nil
			right.Granted = &granted
			if !granted {
				right.Kind, right.Message = string(objectstore.KindOf(found[i].Err)), found[i].Err.Error()
				missing = append(missing, found[i].Err)
			}
		case t.readOnly && action != "s3:GetObject":
			continue
		}
		checked.Rights = append(checked.Rights, right)
	}
	return checked, missing
}

func (r checkResult) text(w io.Writer) {
	fmt.Fprintln(w, "PURPOSE\tBUCKET\tRIGHT\tGRANTED\tMESSAGE")
	for _, b := range r.Buckets {
		for _, right := range b.Rights {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", b.Purpose, b.Bucket, right.Action, right.verdict(), right.Message)
		}
		if b.ConditionalWrites != nil && !*b.ConditionalWrites {
			fmt.Fprintf(w, "%s\t%s\tconditional writes\tno\tthe store ignores If-None-Match; each owner's prefix still keeps others out\n", b.Purpose, b.Bucket)
		}
	}
}

func (r rightCheck) verdict() string {
	switch {
	case r.Granted == nil:
		return "not judged"
	case *r.Granted:
		return "yes"
	default:
		return "no"
	}
}

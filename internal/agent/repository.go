// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// repositoryFlags say where recovery points are and whose.
type repositoryFlags struct {
	storeFlags
	owner       string
	spool       string
	concurrency int
}

func (f *repositoryFlags) add(flags *pflag.FlagSet) {
	f.storeFlags.add(flags)
	flags.StringVar(&f.owner, "owner", "", "uid of the pipeline whose points are meant (default the configuration's, or the only one below the prefix)")
	flags.StringVar(&f.spool, "spool", "", "directory for file lists while they are worked on (default the system's for temporary files)")
	flags.IntVar(&f.concurrency, "concurrency", 0, "transfers at the same time (default 16)")
}

// repository is an opened place of recovery points.
type repository struct {
	*backup.Repository
	config *config.Config
	// place is bucket and prefix, for messages.
	place  string
	holder backup.Holder
}

// repository opens the recovery points that flags and configuration name.
func (a *agent) repository(ctx context.Context, f *repositoryFlags, report func(backup.Progress)) (*repository, error) {
	conf, err := a.config()
	if err != nil {
		return nil, err
	}
	bucket, prefix, err := f.backups(conf)
	if err != nil {
		return nil, err
	}
	store, err := a.connect(f.options(conf, bucket))
	if err != nil {
		return nil, err
	}
	r := &repository{config: conf, place: strings.TrimSuffix(bucket+"/"+prefix, "/")}
	if r.holder, err = f.holder(ctx, conf, store, prefix, r.place); err != nil {
		return nil, err
	}
	r.Repository, err = backup.Open(store, backup.Options{
		Prefix: prefix, Owner: r.holder.UID, Spool: f.spool, Concurrency: f.concurrency, Progress: report,
	})
	return r, withCode(CodeUsage, err)
}

// holder is whose points are meant.
func (f *repositoryFlags) holder(ctx context.Context, conf *config.Config, store objectstore.Store, prefix, place string) (backup.Holder, error) {
	if conf != nil && (f.owner == "" || f.owner == conf.Pipeline.UID) {
		p := conf.Pipeline
		return backup.Holder{UID: p.UID, Cluster: p.Cluster, Namespace: p.Namespace, Name: p.Name}, nil
	}
	if f.owner != "" {
		return backup.Holder{UID: f.owner}, nil
	}
	owners, err := backup.Owners(ctx, store, prefix)
	if err != nil {
		return backup.Holder{}, err
	}
	switch len(owners) {
	case 0:
		return backup.Holder{}, fmt.Errorf("%w: nothing was ever backed up below %s; correct --bucket and --prefix, or name the pipeline with --owner", backup.ErrNoPoint, place)
	case 1:
		return backup.Holder{UID: owners[0]}, nil
	default:
		return backup.Holder{}, usage("%s holds points of %d pipelines; choose one with --owner: %s", place, len(owners), strings.Join(owners, ", "))
	}
}

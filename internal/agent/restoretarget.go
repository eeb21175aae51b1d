// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// restoreTarget is a location that a restore writes to.
type restoreTarget interface {
	// place is the absolute path or URI of a directory.
	place(dir string) string
	// of is the target as package backup takes it.
	of() (target string, bucket objectstore.Store)
	// reader opens a restored query root.
	reader(root string) (checkpoint.Source, func(), error)
	// relocate rewrites a query root for the place where it will be used, and
	// returns what it rewrote.
	relocate(ctx context.Context, root, place string) ([]string, error)
}

// target understands the argument of a restore. Encryption is asked for as with the
// recovery points; a checkpoint has the bucket's own storage class.
func (c *restoreCommand) target(text string, repo *repository) (restoreTarget, error) {
	bucket, below, ok := splitLocation(text)
	if !ok {
		path, err := filepath.Abs(text)
		if err != nil {
			return nil, usage("target %q: %w", text, err)
		}
		return directory{path}, nil
	}
	if below == "" {
		return nil, usage("target is %q, a whole bucket; give a prefix in it, such as s3://%s/checkpoints", text, bucket)
	}
	if strings.HasPrefix(bucket+"/"+below, repo.place+"/") {
		return nil, usage("target is %q, which is where the recovery points are; give another prefix", text)
	}
	store, err := c.connect(c.where.options(repo.config, bucket))
	if err != nil {
		return nil, err
	}
	return prefix{store, bucket, below}, nil
}

func (d directory) of() (string, objectstore.Store) { return d.path, nil }

func (d directory) reader(root string) (checkpoint.Source, func(), error) {
	src, err := checkpoint.OpenDir(d.place(root))
	if err != nil {
		return nil, nil, err
	}
	return src, func() { _ = src.Close() }, nil
}

func (d directory) relocate(ctx context.Context, root, place string) ([]string, error) {
	return checkpoint.RelocateDir(ctx, d.place(root), place)
}

func (p prefix) of() (string, objectstore.Store) { return p.prefix, p.store }

func (p prefix) reader(root string) (checkpoint.Source, func(), error) {
	return checkpoint.Store{Objects: p.store, Prefix: p.key(root)}, func() {}, nil
}

func (p prefix) relocate(ctx context.Context, root, place string) ([]string, error) {
	r, err := checkpoint.Open(ctx, checkpoint.Store{Objects: p.store, Prefix: p.key(root)})
	if err != nil {
		return nil, err
	}
	rewrites, err := r.Relocate(ctx, place)
	if err != nil {
		return nil, err
	}
	var done []string
	for _, w := range rewrites {
		var stale []string
		for _, name := range w.Stale {
			stale = append(stale, p.key(root)+name)
		}
		if err := p.store.Delete(ctx, stale); err != nil {
			return done, fmt.Errorf("rewrite %s: %w", w.Path, err)
		}
		_, err := p.store.Put(ctx, p.key(root)+w.Path, bytes.NewReader(w.Content), int64(len(w.Content)), objectstore.PutOptions{})
		if err != nil {
			return done, fmt.Errorf("rewrite %s: %w", w.Path, err)
		}
		done = append(done, w.Path)
	}
	return done, nil
}

var (
	_ restoreTarget = directory{}
	_ restoreTarget = prefix{}
)

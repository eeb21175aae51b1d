// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// maxDepth bounds how deep query roots are looked for below the location.
const maxDepth = 16

// rootDirs are the directories of Spark in a query root; no other root is in them.
var rootDirs = []string{"offsets", "commits", "sources", "state"}

// location is a directory or a prefix that holds query roots.
type location interface {
	// look lists the directories in dir ("." is the location) and tells whether
	// there is a file metadata and whether there is anything at all.
	look(ctx context.Context, dir string) (found listing, err error)
	// place is the absolute path or URI of a directory.
	place(dir string) string
	// root opens a query root for reading.
	root(dir string) (*source, error)
}

type listing struct {
	folders  []string
	metadata bool
	empty    bool
}

// isRoot tells whether a directory is a query root: Spark makes the metadata file
// before the first batch and the log of offsets with it.
func (l listing) isRoot() bool { return l.metadata && slices.Contains(l.folders, "offsets") }

// discover finds the query roots of a location.
func discover(ctx context.Context, at location) ([]string, error) {
	top, err := at.look(ctx, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withCode(CodeNotCheckpoint, fmt.Errorf("look for query roots: %w; correct --root, or checkpoint in the spec", err))
	}
	if err != nil {
		return nil, fmt.Errorf("look for query roots: %w", err)
	}
	roots, err := descend(ctx, at, ".", top, "", 0)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for query roots: %w", err)
	case len(roots) > 0:
		return roots, nil
	case top.empty:
		return nil, withCode(CodeEmptyRoot, fmt.Errorf("%s is empty: there is no query root to back up; start the query first, or correct --root or checkpoint in the spec", at.place(".")))
	default:
		return nil, withCode(CodeNotCheckpoint, fmt.Errorf("%s holds no query root: no directory in it has a file metadata beside a directory offsets; correct --root, or checkpoint in the spec", at.place(".")))
	}
}

// descend looks below dir; within names the query root that dir lies in.
func descend(ctx context.Context, at location, dir string, found listing, within string, depth int) ([]string, error) {
	var roots []string
	if found.isRoot() {
		if within != "" {
			return nil, fmt.Errorf("%w: %q and %q lie in each other; give each query a directory of its own", backup.ErrNested, within, dir)
		}
		roots, within = []string{dir}, dir
	}
	if depth == maxDepth {
		return roots, nil
	}
	for _, name := range found.folders {
		if strings.HasPrefix(name, ".") || name == "lost+found" || found.isRoot() && slices.Contains(rootDirs, name) {
			continue
		}
		below := path.Join(dir, name)
		next, err := at.look(ctx, below)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		more, err := descend(ctx, at, below, next, within, depth+1)
		if err != nil {
			return nil, err
		}
		roots = append(roots, more...)
	}
	return roots, nil
}

// directory is a location on a file system. Links are not followed.
type directory struct{ path string }

func (d directory) place(dir string) string { return filepath.Join(d.path, filepath.FromSlash(dir)) }

func (d directory) look(_ context.Context, dir string) (listing, error) {
	entries, err := os.ReadDir(d.place(dir))
	if err != nil {
		return listing{}, err
	}
	found := listing{empty: true}
	for _, e := range entries {
		found.empty = found.empty && e.Name() == "lost+found"
		switch {
		case e.IsDir():
			found.folders = append(found.folders, e.Name())
		case e.Name() == "metadata" && e.Type().IsRegular():
			found.metadata = true
		}
	}
	return found, nil
}

// prefix is a location in a bucket.
type prefix struct {
	store  objectstore.Store
	bucket string
	// prefix is empty or ends with a slash.
	prefix string
}

func (p prefix) place(dir string) string {
	return "s3a://" + path.Join(p.bucket, p.prefix, dir)
}

func (p prefix) key(dir string) string {
	if dir == "." {
		return p.prefix
	}
	return p.prefix + dir + "/"
}

func (p prefix) look(ctx context.Context, dir string) (listing, error) {
	folders, err := p.store.Folders(ctx, p.key(dir))
	if err != nil {
		return listing{}, err
	}
	var found listing
	for _, f := range folders {
		found.folders = append(found.folders, strings.TrimSuffix(f, "/"))
	}
	_, err = p.store.Head(ctx, p.key(dir)+"metadata")
	if err != nil && objectstore.KindOf(err) != objectstore.KindNotFound {
		return listing{}, err
	}
	found.metadata = err == nil
	if len(folders) == 0 && !found.metadata {
		found.empty, err = p.nothing(ctx, dir)
		return found, err
	}
	return found, nil
}

func (p prefix) nothing(ctx context.Context, dir string) (bool, error) {
	for _, err := range p.store.List(ctx, p.key(dir)) {
		return false, err
	}
	return true, nil
}

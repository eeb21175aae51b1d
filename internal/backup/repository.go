// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// Places below an owner's prefix.
const (
	ownerDir     = "owner/"
	objectsDir   = "objects/"
	pointsDir    = "points/"
	verifiedDir  = "verified/"
	condemnedKey = "condemned.json.gz"
)

// Options of a repository.
type Options struct {
	// Prefix of the pipeline in the bucket, without the owner.
	Prefix string
	// Owner whose points are meant: the UID of a pipeline.
	Owner string
	// Spool is a directory for file lists while a run works on them; about 100
	// bytes for each file of the root. Empty: the system's temporary directory.
	Spool string
	// Concurrency of transfers. Zero: 16.
	Concurrency int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Progress is told about files and bytes, at most a few times a second, from
	// one goroutine at a time. Nil: nobody.
	Progress func(Progress)
}

// Repository is the recovery points of one owner.
type Repository struct {
	store       objectstore.Store
	prefix      string
	spool       string
	concurrency int
	now         func() time.Time
	progress    func(Progress)
}

// Open checks the options. It sends no request.
func Open(store objectstore.Store, o Options) (*Repository, error) {
	prefix := strings.Trim(o.Prefix, "/")
	if prefix != "" {
		if err := checkPath(prefix); err != nil {
			return nil, fmt.Errorf("prefix of the recovery points: %w", err)
		}
		prefix += "/"
	}
	if err := checkPath(o.Owner); err != nil || strings.Contains(o.Owner, "/") {
		return nil, fmt.Errorf("owner of the recovery points is %q; allowed is the uid of a pipeline", o.Owner)
	}
	r := &Repository{
		store: store, prefix: prefix + o.Owner + "/", spool: o.Spool,
		concurrency: o.Concurrency, now: o.Now, progress: o.Progress,
	}
	if r.spool == "" {
		r.spool = os.TempDir()
	}
	if r.concurrency <= 0 {
		r.concurrency = 16
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.progress == nil {
		r.progress = func(Progress) {}
	}
	return r, nil
}

// Owners lists the owners that have anything below a pipeline's prefix, for a
// restore in a cluster that only knows the bucket.
func Owners(ctx context.Context, store objectstore.Store, prefix string) ([]string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	folders, err := store.Folders(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list owners below %s: %w", prefix, err)
	}
	var owners []string
	for _, folder := range folders {
		records, err := store.Folders(ctx, prefix+folder)
		if err != nil {
			return nil, fmt.Errorf("list owners below %s: %w", prefix, err)
		}
		if slices.Contains(records, ownerDir) {
			owners = append(owners, strings.TrimSuffix(folder, "/"))
		}
	}
	return owners, nil
}

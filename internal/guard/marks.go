// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
)

// Files that are ours in a checkpoint's place and in its roots. Spark passes over
// names that it does not know.
const (
	// OwnerName says whose the place is and how far its roots were seen.
	OwnerName = ".sparkpipeline-owner.json"
	// LockName is there while somebody works on a root.
	LockName = ".sparkpipeline-lock"
	// RewindName is there from the first step of a rewind to its last.
	RewindName = ".sparkpipeline-rewind.json"
)

// Owner is the content of OwnerName.
type Owner struct {
	FormatVersion int    `json:"formatVersion"`
	Namespace     string `json:"namespace"`
	Name          string `json:"name"`
	UID           string `json:"uid"`
	Cluster       string `json:"cluster,omitempty"`
	Epoch         int64  `json:"epoch"`
	// Roots: path below the place -> newest committed batch seen.
	Roots map[string]int64 `json:"roots,omitempty"`
	// Rewinds: path below the place -> id of the rewind after which that was seen.
	Rewinds map[string]string `json:"rewinds,omitempty"`
}

const ownerFormat = 1

// mostMark bounds what is read of our own files, in bytes.
const mostMark = 1 << 20

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, checkpoint.ErrNoRoot)
}

// mark reads one of our files; nil when it is not there.
func (g *Guard) mark(ctx context.Context, name string) ([]byte, error) {
	body, err := g.Place.Open(ctx, name)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, mostMark))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// owner reads whose the place is. A pipeline that was deleted and made again has
// another UID and is the same owner: its claim was kept for it.
func (g *Guard) owner(ctx context.Context) (*Owner, error) {
	data, err := g.mark(ctx, OwnerName)
	if err != nil || data == nil {
		return nil, err
	}
	o, err := ReadOwner(data)
	if err != nil {
		return nil, refuse(OtherOwner, "%s %v", OwnerName, err)
	}
	p := g.Orders.Pipeline
	switch {
	case o.Epoch > g.Orders.Epoch:
		return nil, refuse(OtherOwner, "the checkpoint was taken over: it records epoch %d of %s/%s, and this pipeline is at epoch %d", o.Epoch, o.Namespace, o.Name, g.Orders.Epoch)
	case o.Epoch == g.Orders.Epoch && (o.Namespace != p.Namespace || o.Name != p.Name || o.Cluster != p.Cluster):
		return nil, refuse(OtherOwner, "the checkpoint belongs to pipeline %s/%s%s", o.Namespace, o.Name, inCluster(o.Cluster))
	}
	return o, nil
}

// ReadOwner reads the content of OwnerName.
func ReadOwner(data []byte) (*Owner, error) {
	var o Owner
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("cannot be read, so the owner is unknown: %w", err)
	}
	if o.FormatVersion > ownerFormat {
		return nil, fmt.Errorf("is of format %d; this version knows %d", o.FormatVersion, ownerFormat)
	}
	return &o, nil
}

func inCluster(id string) string {
	if id == "" {
		return ""
	}
	return " of cluster " + id
}

// marks refuses a place or a root on which somebody works or has not finished.
func (g *Guard) marks(ctx context.Context, dir string) error {
	// A rewind holds the lock too, and one that was cut off leaves it.
	if data, err := g.mark(ctx, path.Join(dir, RewindName)); err != nil || data != nil {
		if err != nil {
			return err
		}
		return refuse(Unfinished, "%s is there: a rewind has begun and is not complete; run it again, it goes on where it was", path.Join(dir, RewindName))
	}
	if data, err := g.mark(ctx, path.Join(dir, LockName)); err != nil || data != nil {
		if err != nil {
			return err
		}
		return refuse(Locked, "%s is there: somebody works on the checkpoint%s", path.Join(dir, LockName), lockedBy(data))
	}
	data, err := g.mark(ctx, path.Join(dir, backup.RestoreRecordName))
	if err != nil || data == nil {
		return err
	}
	var r backup.RestoreRecord
	if json.Unmarshal(data, &r) != nil || r.State != backup.RestoreComplete {
		return refuse(Unfinished, "%s says that a restore has begun and is not complete; run it again", path.Join(dir, backup.RestoreRecordName))
	}
	return nil
}

// Lock is the content of LockName.
type Lock struct {
	// By names the command, Since when it began, Host where.
	By    string `json:"by"`
	Since string `json:"since"`
	Host  string `json:"host,omitempty"`
}

// Text says who holds the lock, in parentheses; empty: the file does not tell.
func (l *Lock) Text() string {
	switch {
	case l.By == "":
		return ""
	case l.Host == "":
		return fmt.Sprintf(" (%.80s, since %.40s)", l.By, l.Since)
	}
	return fmt.Sprintf(" (%.80s, since %.40s, on %.80s)", l.By, l.Since, l.Host)
}

func lockedBy(data []byte) string {
	var l Lock
	if json.Unmarshal(data, &l) != nil {
		return ""
	}
	return l.Text()
}

// own writes down whose the place is and how far its roots are, if that is new.
func (g *Guard) own(ctx context.Context, before *Owner, e *Evidence) error {
	p := g.Orders.Pipeline
	o := Owner{FormatVersion: ownerFormat, Namespace: p.Namespace, Name: p.Name, UID: p.UID, Cluster: p.Cluster, Epoch: g.Orders.Epoch, Roots: map[string]int64{}, Rewinds: map[string]string{}}
	for _, f := range e.Roots {
		if f.LastCommit != nil {
			o.Roots[f.Path] = *f.LastCommit
		}
		if f.Rewound != nil {
			o.Rewinds[f.Path] = f.Rewound.ID
		}
	}
	data, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write %s: %w", OwnerName, err)
	}
	if before != nil {
		if old, err := json.Marshal(before); err == nil && string(old) == string(data) {
			return nil
		}
	}
	if err := g.Place.Write(ctx, OwnerName, data); err != nil {
		return fmt.Errorf("write %s: %w", OwnerName, err)
	}
	return nil
}

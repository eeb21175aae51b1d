// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// RestoreRecordName is the file in a restored target that says where its
// content came from.
const RestoreRecordName = ".sparkpipeline-restore.json"

// States of a restore.
const (
	RestoreIncomplete = "Incomplete"
	RestoreComplete   = "Complete"
)

// RestoreRecord is the content of RestoreRecordName.
type RestoreRecord struct {
	FormatVersion int    `json:"formatVersion"`
	State         string `json:"state"`
	Point         string `json:"point"`
	// ManifestSHA256 ties the record to the bytes of the manifest.
	ManifestSHA256 string     `json:"manifestSHA256"`
	Owner          Holder     `json:"owner"`
	Epoch          int64      `json:"epoch"`
	Roots          []RootInfo `json:"roots"`
	// Place is where the target will be used: a path or a URI.
	Place string `json:"place,omitempty"`
	// Rewritten are the files, below the target, that are not as the point has them:
	// they named the place that the root was at before.
	Rewritten []string `json:"rewritten,omitempty"`
	// Accepted are findings that somebody has said to be no obstacle.
	Accepted    []string  `json:"accepted,omitempty"`
	Files       int64     `json:"files"`
	Bytes       int64     `json:"bytes"`
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
}

func newRestoreRecord(m *Manifest, hash string, roots []RootManifest, now time.Time) *RestoreRecord {
	record := &RestoreRecord{
		FormatVersion: FormatVersion, State: RestoreIncomplete, Point: m.ID, ManifestSHA256: hash,
		Owner: m.Owner, Epoch: m.Epoch, StartedAt: now.UTC(),
	}
	for _, root := range roots {
		record.Roots = append(record.Roots, root.RootInfo)
		record.Files += root.Files
		record.Bytes += root.Bytes
	}
	return record
}

// same tells whether two records are of the same restore.
func (r *RestoreRecord) same(other *RestoreRecord) bool {
	names := func(roots []RootInfo) (out []string) {
		for _, root := range roots {
			out = append(out, root.Root)
		}
		return out
	}
	return r.Point == other.Point && r.ManifestSHA256 == other.ManifestSHA256 && slices.Equal(names(r.Roots), names(other.Roots))
}

// admits refuses another restore than the one that left the record.
func (r *RestoreRecord) admits(wanted *RestoreRecord) error {
	if !r.same(wanted) {
		return fmt.Errorf("%w: it was restored from point %s; give a new one", ErrNotEmpty, r.Point)
	}
	if r.State == RestoreComplete && r.Place != wanted.Place {
		return fmt.Errorf("%w: it was restored for use at %q; give a new one for %q", ErrNotEmpty, r.Place, wanted.Place)
	}
	return nil
}

// ReadRestoreRecord reads the record of a target; nil when there is none. A nil
// bucket means that the target is a directory.
func ReadRestoreRecord(ctx context.Context, bucket objectstore.Store, target string) (*RestoreRecord, error) {
	if bucket != nil {
		to, err := newPrefixTarget(bucket, target, "", 1)
		if err != nil {
			return nil, err
		}
		return to.record(ctx)
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return nil, fmt.Errorf("read the restore record: %w", err)
	}
	defer root.Close()
	return (&dirTarget{dir: root}).record(ctx)
}

// parseRestoreRecord reads a record of this version.
func parseRestoreRecord(from io.Reader) (*RestoreRecord, error) {
	body, err := io.ReadAll(io.LimitReader(from, maxRecord))
	if err != nil {
		return nil, fmt.Errorf("read the restore record: %w", err)
	}
	var record RestoreRecord
	if err := json.Unmarshal(body, &record); err != nil {
		return nil, fmt.Errorf("%w: restore record %s is not JSON: %w", ErrDamaged, RestoreRecordName, err)
	}
	if record.FormatVersion > FormatVersion {
		return nil, &NewerFormatError{What: "restore record", Found: record.FormatVersion, Known: FormatVersion}
	}
	return &record, nil
}

// admit decides whether a restore may write to the target, and returns the
// record that an earlier run of the same restore left.
func admit(ctx context.Context, to target, wanted *RestoreRecord) (*RestoreRecord, error) {
	before, err := to.record(ctx)
	if err != nil {
		return nil, err
	}
	if before != nil {
		return before, before.admits(wanted)
	}
	name, err := to.foreign(ctx)
	if err != nil {
		return nil, fmt.Errorf("look whether it is empty: %w", err)
	}
	if name != "" {
		return nil, fmt.Errorf("%w: it holds %q; give an empty one", ErrNotEmpty, name)
	}
	return nil, nil
}

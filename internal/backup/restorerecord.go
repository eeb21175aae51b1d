// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// RestoreRecordName is the file in a restored directory that says where its
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
	Rewritten   []string  `json:"rewritten,omitempty"`
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

// ReadRestoreRecord reads the record of a directory; nil when there is none.
func ReadRestoreRecord(dir string) (*RestoreRecord, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read the restore record: %w", err)
	}
	defer root.Close()
	return readRestoreRecord(root)
}

func readRestoreRecord(dir *os.Root) (*RestoreRecord, error) {
	file, err := dir.Open(RestoreRecordName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the restore record: %w", err)
	}
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, maxRecord))
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

// writeRestoreRecord replaces the record at once: it is never seen half written.
func writeRestoreRecord(dir *os.Root, record *RestoreRecord) error {
	body, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the restore record: %w", err)
	}
	const temporary = RestoreRecordName + ".tmp"
	file, err := dir.Create(temporary)
	if err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	_, err = file.Write(body)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	if err := dir.Rename(temporary, RestoreRecordName); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir *os.Root) error {
	handle, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	defer handle.Close()
	if err := handle.Sync(); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	return nil
}

// admit decides whether a restore may write to the directory, and returns the
// record that an earlier run of the same restore left.
func admit(dir *os.Root, wanted *RestoreRecord) (*RestoreRecord, error) {
	before, err := readRestoreRecord(dir)
	if err != nil {
		return nil, err
	}
	if before != nil {
		return before, before.admits(wanted)
	}
	handle, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	names, err := handle.Readdirnames(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, name := range names {
		if name != "lost+found" && name != RestoreRecordName+".tmp" {
			return nil, fmt.Errorf("%w: it holds %q; give an empty directory", ErrNotEmpty, name)
		}
	}
	return nil, nil
}

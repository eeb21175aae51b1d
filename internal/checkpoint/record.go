// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Record is what a root held at one time. Some damage shows only against an
// earlier look: an old delta under a new name, partitions that were exchanged, a
// whole operator that is gone.
type Record struct {
	FormatVersion int `json:"formatVersion"`
	// Files by path below the root, without checksums and temporary files.
	Files map[string]RecordedFile `json:"files"`
}

// RecordedFile is one file of a record.
type RecordedFile struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

const recordFormat = 1

// MakeRecord reads every file of a root.
func MakeRecord(ctx context.Context, src Source) (*Record, error) {
	r, err := Open(ctx, src)
	if err != nil {
		return nil, err
	}
	out := &Record{FormatVersion: recordFormat, Files: map[string]RecordedFile{}}
	for _, p := range slices.Sorted(maps.Keys(r.files)) {
		if isCompanion(p) || !isOurs(p) && p != "metadata" {
			continue
		}
		f, err := hashFile(ctx, src, p)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Files[p] = f
	}
	return out, nil
}

// ReadRecord reads what MakeRecord's result was written as.
func ReadRecord(in io.Reader) (*Record, error) {
	var r Record
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	if r.FormatVersion != recordFormat {
		return nil, fmt.Errorf("read the record: formatVersion is %d; known is %d", r.FormatVersion, recordFormat)
	}
	return &r, nil
}

func hashFile(ctx context.Context, src Source, p string) (RecordedFile, error) {
	body, err := src.Open(ctx, p)
	if err != nil {
		return RecordedFile{}, err
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, body)
	if err != nil {
		return RecordedFile{}, fmt.Errorf("read %s: %w", p, err)
	}
	return RecordedFile{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// record judges level 7: every file that is still there must be what it was. Files
// under a number that a running query wrote again after a rewind differ too; a
// record is good for one timeline.
func (j *judge) record(ctx context.Context) error {
	j.recordedOperators()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	changed := make(chan string, len(j.files))
	for p, want := range j.o.Record.Files {
		e, ok := j.files[p]
		if !ok {
			continue // what is missing is judged by what needs it
		}
		if e.Size != want.Size {
			changed <- p
			continue
		}
		group.Go(func() error {
			got, err := hashFile(ctx, j.src, p)
			if err == nil && got != want {
				changed <- p
			}
			if isGone(err) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	close(changed)
	for p := range changed {
		j.changed(p)
	}
	return nil
}

func (j *judge) changed(p string) {
	if p == "metadata" {
		j.broken(LevelRecord, KindQueryIDChanged, p, "is not what was recorded: the query would go on under another id")
		return
	}
	if stateName.MatchString(p[strings.LastIndex(p, "/")+1:]) && !j.needed[p] {
		j.damaged[p] = true
		j.add(LevelRecord, SeverityWarning, KindContentChanged, p, "is not what was recorded; the newest committed batch does not need it")
		return
	}
	j.broken(LevelRecord, KindContentChanged, p, "is not what was recorded")
}

// recordedOperators finds operators that are gone as a whole, which nothing in the
// root itself tells.
func (j *judge) recordedOperators() {
	gone := map[string]bool{}
	for p := range j.o.Record.Files {
		parts := strings.Split(p, "/")
		if parts[0] != "state" || len(parts) < 3 || j.dirs["state/"+parts[1]] {
			continue
		}
		if _, canonical, ok := number(parts[1]); ok && canonical {
			gone["state/"+parts[1]] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(gone)) {
		j.spoiled = true
		j.add(LevelStructure, SeverityError, KindOperatorMissing, dir, "is missing, though it was recorded")
	}
}

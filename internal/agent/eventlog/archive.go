// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// FormatVersion of the records that this package writes.
const FormatVersion = 1

// Places below the prefix of an archive. The logs lie as Spark laid them out, so
// that a history server can be pointed at them. Records stay readable whatever
// the storage class of the logs.
const (
	logsDir    = "eventlogs/"
	recordsDir = "archived/"
)

// ErrDiffers means that the archive holds another log of the same name.
var ErrDiffers = errors.New("the archive holds another log of this name")

// Record says what was archived of an application. It is written when all of it
// is there.
type Record struct {
	FormatVersion int            `json:"formatVersion"`
	Name          string         `json:"name"`
	ArchivedAt    time.Time      `json:"archivedAt"`
	Files         []RecordedFile `json:"files"`
}

// RecordedFile is one file in the archive.
type RecordedFile struct {
	// Path below eventlogs/.
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	SHA256  string    `json:"sha256"`
	ModTime time.Time `json:"modTime"`
	ETag    string    `json:"etag,omitempty"`
}

// Archive moves logs into a bucket.
type Archive struct {
	// Dir holds the logs.
	Dir *os.Root
	// Logs takes the logs, Records what is written about them: two views of one
	// bucket, of which only the first has the storage class of the archive.
	Logs, Records objectstore.Store
	// Prefix in the bucket; empty, or with a slash at its end.
	Prefix string
	Now    func() time.Time
	// Progress is told about each file that was sent; it may be nil.
	Progress func(files, bytes int64)
}

// Move archives a finished log, verifies that it is in the bucket, and removes it
// from the directory. A crash at any step leaves the log whole here or whole
// there, and the next run goes on.
func (a *Archive) Move(ctx context.Context, l *Log) error {
	if l.Reason != "" {
		return fmt.Errorf("archive event log %s: it is %s", l.Name, l.Reason)
	}
	if err := a.move(ctx, l); err != nil {
		return fmt.Errorf("archive event log %s: %w", l.Name, err)
	}
	return nil
}

func (a *Archive) move(ctx context.Context, l *Log) error {
	record, err := a.hash(l)
	if err != nil {
		return err
	}
	before, err := a.record(ctx, l.Name)
	if err != nil {
		return err
	}
	if before != nil {
		if err := before.same(record); err != nil {
			return err
		}
		record = before
	} else if err := a.send(ctx, l, record); err != nil {
		return err
	}
	if err := a.verify(ctx, record); err != nil {
		return err
	}
	if err := l.unchanged(a.Dir); err != nil {
		return err
	}
	if before == nil {
		if err := a.write(ctx, record); err != nil {
			return err
		}
	}
	return a.remove(l)
}

// hash reads all files of a log.
func (a *Archive) hash(l *Log) (*Record, error) {
	record := &Record{FormatVersion: FormatVersion, Name: l.Name}
	for _, f := range l.Files {
		sum, err := a.sum(f)
		if err != nil {
			return nil, err
		}
		record.Files = append(record.Files, RecordedFile{Path: f.Path, Size: f.Size, SHA256: sum, ModTime: f.ModTime.UTC()})
	}
	return record, nil
}

func (a *Archive) sum(f File) (string, error) {
	file, err := a.Dir.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", f.Path, err)
	}
	if n != f.Size {
		return "", fmt.Errorf("read %s: %d bytes, where %d were listed", f.Path, n, f.Size)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// send uploads all files. The hash is part of each request, so that the store
// refuses a body that is another.
func (a *Archive) send(ctx context.Context, l *Log, record *Record) error {
	for i := range record.Files {
		f := &record.Files[i]
		file, err := a.Dir.Open(f.Path)
		if err != nil {
			return err
		}
		info, err := a.Logs.Put(ctx, a.Prefix+logsDir+f.Path, file, f.Size, objectstore.PutOptions{SHA256: f.SHA256})
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		f.ETag = info.ETag
		if a.Progress != nil {
			a.Progress(1, f.Size)
		}
	}
	record.ArchivedAt = a.Now().UTC()
	return nil
}

// verify asks the store for what it has. An archived class cannot be read back:
// size and the tag of this very upload stand for the content, whose hash the
// store checked when it took it.
func (a *Archive) verify(ctx context.Context, record *Record) error {
	for _, f := range record.Files {
		info, err := a.Logs.Head(ctx, a.Prefix+logsDir+f.Path)
		if err != nil {
			return fmt.Errorf("verify %s: %w", f.Path, err)
		}
		if info.Size != f.Size || f.ETag != "" && info.ETag != f.ETag {
			return fmt.Errorf("verify %s: the store has %d bytes (%s), where %d bytes (%s) were sent; the log stays",
				f.Path, info.Size, info.ETag, f.Size, f.ETag)
		}
	}
	return nil
}

func (a *Archive) recordKey(name string) string { return a.Prefix + recordsDir + name + ".json" }

// maxRecord bounds a record in bytes; a file takes about 300.
const maxRecord = 16 << 20

// record reads what an earlier run wrote; nil when there is nothing.
func (a *Archive) record(ctx context.Context, name string) (*Record, error) {
	body, _, err := a.Records.Get(ctx, a.recordKey(name), objectstore.Range{})
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for its record: %w", err)
	}
	defer body.Close()
	var r Record
	if err := json.NewDecoder(io.LimitReader(body, maxRecord)).Decode(&r); err != nil {
		return nil, fmt.Errorf("read its record %s: %w", a.recordKey(name), err)
	}
	if r.FormatVersion > FormatVersion {
		return nil, fmt.Errorf("its record %s has format version %d, this agent knows versions up to %d", a.recordKey(name), r.FormatVersion, FormatVersion)
	}
	return &r, nil
}

// same refuses a record of other content.
func (r *Record) same(other *Record) error {
	if len(r.Files) != len(other.Files) {
		return fmt.Errorf("%w: of %d files, not %d; the log stays", ErrDiffers, len(r.Files), len(other.Files))
	}
	for i, f := range r.Files {
		if o := other.Files[i]; f.Path != o.Path || f.Size != o.Size || f.SHA256 != o.SHA256 {
			return fmt.Errorf("%w: %s has other bytes; the log stays", ErrDiffers, f.Path)
		}
	}
	return nil
}

func (a *Archive) write(ctx context.Context, record *Record) error {
	body, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("write its record: %w", err)
	}
	_, err = a.Records.Put(ctx, a.recordKey(record.Name), bytes.NewReader(body), int64(len(body)), objectstore.PutOptions{})
	if err != nil {
		return fmt.Errorf("write its record: %w", err)
	}
	return nil
}

// remove takes the whole log out of sight at once: a history server never sees a
// part of it.
func (a *Archive) remove(l *Log) error {
	hidden := removing + l.Name
	if err := a.Dir.RemoveAll(hidden); err != nil {
		return fmt.Errorf("remove it: %w", err)
	}
	if err := a.Dir.Rename(l.Name, hidden); err != nil {
		return fmt.Errorf("remove it: %w", err)
	}
	if err := a.Dir.RemoveAll(hidden); err != nil {
		return fmt.Errorf("remove it: %w", err)
	}
	if l.Rolling {
		return nil
	}
	return ifThere(a.Dir.Remove("." + l.Name + ".crc"))
}

// Sweep removes what a crash left of logs that were archived already.
func (a *Archive) Sweep() error {
	entries, err := fs.ReadDir(a.Dir.FS(), ".")
	if err != nil {
		return fmt.Errorf("list the event logs: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), removing)
		if !ok {
			continue
		}
		err := errors.Join(a.Dir.RemoveAll(e.Name()), ifThere(a.Dir.Remove("."+path.Base(name)+".crc")))
		if err != nil {
			return fmt.Errorf("remove what is left of event log %s: %w", name, err)
		}
	}
	return nil
}

func ifThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

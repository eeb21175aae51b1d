// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"time"
)

// target is where a restore writes; names are below it, with slashes. write and holds
// may be called concurrently.
type target interface {
	// record that an earlier run left; nil: none.
	record(ctx context.Context) (*RestoreRecord, error)
	// writeRecord replaces the record at once: it is never seen half written.
	writeRecord(ctx context.Context, record *RestoreRecord) error
	// foreign names something in the target that no restore left.
	foreign(ctx context.Context) (string, error)
	// order is the parts of a root, by path, in which it is to be restored.
	order() []func(path string) bool
	// holds tells whether a file is there with the content of the entry.
	holds(ctx context.Context, name string, e *entry) (bool, error)
	// write makes a file, or replaces what a crash left of it.
	write(ctx context.Context, name string, e *entry, body io.Reader) error
	// flush brings everything that was written to disk.
	flush() error
	close()
}

// target opens what the options say.
func (r *Repository) target(o RestoreOptions) (target, error) {
	if o.Bucket != nil {
		return newPrefixTarget(o.Bucket, o.Target, r.spool, packers)
	}
	if err := os.MkdirAll(o.Target, 0o775); err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(o.Target)
	if err != nil {
		return nil, err
	}
	return &dirTarget{dir: dir, made: map[string]bool{}}, nil
}

func anyPath(string) bool { return true }

// dirTarget is a directory, which is not left by a link in it.
type dirTarget struct {
	dir *os.Root

	mu   sync.Mutex
	made map[string]bool
}

func (t *dirTarget) close() { _ = t.dir.Close() }

func (t *dirTarget) order() []func(string) bool { return []func(string) bool{anyPath} }

func (t *dirTarget) flush() error { return SyncAll(t.dir) }

func (t *dirTarget) record(context.Context) (*RestoreRecord, error) {
	file, err := t.dir.Open(RestoreRecordName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the restore record: %w", err)
	}
	defer file.Close()
	return parseRestoreRecord(file)
}

const temporaryRecord = RestoreRecordName + ".tmp"

func (t *dirTarget) writeRecord(_ context.Context, record *RestoreRecord) error {
	body, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the restore record: %w", err)
	}
	file, err := t.dir.Create(temporaryRecord)
	if err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	_, err = file.Write(body)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	if err := t.dir.Rename(temporaryRecord, RestoreRecordName); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	handle, err := t.dir.Open(".")
	if err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	if err := errors.Join(handle.Sync(), handle.Close()); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	return nil
}

func (t *dirTarget) foreign(context.Context) (string, error) {
	handle, err := t.dir.Open(".")
	if err != nil {
		return "", err
	}
	defer handle.Close()
	names, err := handle.Readdirnames(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	for _, name := range names {
		if name != "lost+found" && name != temporaryRecord {
			return name, nil
		}
	}
	return "", nil
}

func (t *dirTarget) holds(_ context.Context, name string, e *entry) (bool, error) {
	file, err := t.dir.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() != e.Size {
		return false, nil
	}
	if _, err := io.Copy(io.Discard, verifying(e, file)); err != nil {
		return false, nil
	}
	return t.dir.Chtimes(name, time.Time{}, time.Unix(0, e.ModTime)) == nil, nil
}

func (t *dirTarget) write(_ context.Context, name string, e *entry, body io.Reader) error {
	if err := t.parent(name); err != nil {
		return err
	}
	file, err := t.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o664)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, body)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	// An unchanged time makes the next backup see an unchanged file.
	return t.dir.Chtimes(name, time.Time{}, time.Unix(0, e.ModTime))
}

func (t *dirTarget) parent(name string) error {
	dir := path.Dir(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made[dir] {
		return nil
	}
	if err := t.dir.MkdirAll(dir, 0o775); err != nil {
		return err
	}
	t.made[dir] = true
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/guard"
)

// lockedBy is how the lock of a rewind says who holds it.
const lockedBy = "agent rewind"

// lock is the file that says that somebody works on a root. The process that does also
// holds an advisory lock of the file system on it, which ends with the process: so a
// run that was cut off is told from one that goes on, also on another node where the
// file system takes part (NFS 4, EFS).
type lock struct {
	disk *disk
	file *os.File
}

// takeLock takes the root, or takes it over from a run that was cut off.
func takeLock(d *disk, now time.Time) (*lock, error) {
	host, _ := os.Hostname()
	text, err := json.Marshal(guard.Lock{By: lockedBy, Since: now.UTC().Format(time.RFC3339), Host: host})
	if err != nil {
		return nil, fmt.Errorf("lock the root: %w", err)
	}
	// A link fails where the file is there, and the file is whole when it appears.
	fresh := guard.LockName + "." + newID() + ".new"
	if err := d.write(fresh, os.O_EXCL, bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("lock the root: %w", err)
	}
	err = d.step("lock", func() error { return d.root.Link(fresh, guard.LockName) })
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		// A file system without hard links.
		err = d.write(guard.LockName, os.O_EXCL, bytes.NewReader(text))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock the root: %w", err)
	}
	made := err == nil
	if err := d.remove(fresh); err != nil {
		return nil, fmt.Errorf("lock the root: %w", err)
	}
	file, err := d.root.OpenFile(guard.LockName, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: another run has just ended; try again", ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the root: %w", err)
	}
	l := &lock{d, file}
	if err := l.hold(made); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

func (l *lock) hold(made bool) error {
	at := filepath.Join(l.disk.root.Name(), guard.LockName)
	data, err := io.ReadAll(io.LimitReader(l.file, mostRead))
	if err != nil {
		return fmt.Errorf("read the lock: %w", err)
	}
	var held guard.Lock
	if json.Unmarshal(data, &held) != nil || held.By != lockedBy {
		return fmt.Errorf("%w: %s is there%s; wait for who made it, or remove the file if nobody works on the root any more", ErrLocked, at, held.Text())
	}
	free, known := tryLock(l.file)
	switch {
	case known && !free:
		return fmt.Errorf("%w: another run works on it%s; wait until it ends", ErrLocked, held.Text())
	case !known && !made:
		return fmt.Errorf("%w: %s is there%s, and this file system does not tell whether that run still works; make sure that it does not, remove the file and run this again", ErrLocked, at, held.Text())
	}
	// What was locked must still be what has the name.
	now, err := l.disk.root.Lstat(guard.LockName)
	mine, statErr := l.file.Stat()
	if err := errors.Join(err, statErr); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the lock: %w", err)
	}
	if now == nil || !os.SameFile(now, mine) {
		return fmt.Errorf("%w: another run has just ended; try again", ErrLocked)
	}
	return nil
}

// release takes the lock away, with what runs that were cut off left of it.
func (l *lock) release() error {
	names, err := fs.Glob(l.disk.root.FS(), guard.LockName+".*.new")
	if err != nil {
		return fmt.Errorf("unlock the root: %w", err)
	}
	for _, name := range append(names, guard.LockName) {
		if strings.Contains(name, "/") {
			continue
		}
		if err := l.disk.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("unlock the root: %w", err)
		}
	}
	return nil
}

// close lets go of the file system's lock. The file stays, unless it was released.
func (l *lock) close() { _ = l.file.Close() }

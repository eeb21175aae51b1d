// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/guard"
)

// place is the directory that the guard's record of the owner is in: the root or one
// above it.
type place struct {
	dir string
	// path of the root below it, as the record has it.
	path  string
	owner *guard.Owner
	hooks hooks
}

// mostAbove bounds how far above a root its place is looked for.
const mostAbove = 16

// findPlace reads whose the root is, and sees that nobody works on it or around it. A
// root that no guard has passed yet has no record, which is fine.
func (w *work) findPlace() error {
	at := &place{hooks: w.hooks}
	for dir, n := w.dir, 0; n < mostAbove; dir, n = filepath.Dir(dir), n+1 {
		owner, err := readOwner(dir)
		if err != nil {
			return err
		}
		if owner == nil {
			continue
		}
		below, err := filepath.Rel(dir, w.dir)
		if err != nil {
			return fmt.Errorf("find the root below %s: %w", dir, err)
		}
		at.dir, at.path, at.owner = dir, filepath.ToSlash(below), owner
		break
	}
	w.place = at
	if err := at.belongs(w.Owner); err != nil {
		return err
	}
	for _, dir := range []string{at.dir, w.dir} {
		if dir == "" {
			continue
		}
		if err := marks(dir, dir == w.dir); err != nil {
			return err
		}
	}
	return nil
}

func readOwner(dir string) (*guard.Owner, error) {
	data, err := readIn(dir, guard.OwnerName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, guard.OwnerName), err)
	}
	owner, err := guard.ReadOwner(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrOtherOwner, filepath.Join(dir, guard.OwnerName), err)
	}
	return owner, nil
}

func readIn(dir, name string) ([]byte, error) {
	d, err := openDisk(dir, hooks{})
	if err != nil {
		return nil, err
	}
	defer d.root.Close()
	return d.read(name)
}

func (p *place) belongs(want *Owner) error {
	if want == nil || p.owner == nil {
		return nil
	}
	o := p.owner
	if o.Namespace != want.Namespace || o.Name != want.Name {
		return fmt.Errorf("%w: %s names %s/%s, and the configuration %s/%s", ErrOtherOwner, p.file(), o.Namespace, o.Name, want.Namespace, want.Name)
	}
	return nil
}

// marks refuses a directory in which somebody else works. The marks of a rewind in the
// root itself are judged when it is locked.
func marks(dir string, root bool) error {
	if !root {
		for name, what := range map[string]error{guard.LockName: ErrLocked, guard.RewindName: ErrUnfinished} {
			if _, err := readIn(dir, name); err == nil {
				return fmt.Errorf("%w: %s is there", what, filepath.Join(dir, name))
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("look for %s: %w", filepath.Join(dir, name), err)
			}
		}
	}
	restored, err := backup.ReadRestoreRecord(context.Background(), nil, dir)
	if err != nil {
		return fmt.Errorf("look for %s: %w", filepath.Join(dir, backup.RestoreRecordName), err)
	}
	if restored != nil && restored.State != backup.RestoreComplete {
		return fmt.Errorf("%w: %s says that a restore of %s is not complete; complete it first", ErrUnfinished, filepath.Join(dir, backup.RestoreRecordName), restored.Point)
	}
	return nil
}

// file is the path of the owner's record; empty: there is none.
func (p *place) file() string {
	if p.owner == nil {
		return ""
	}
	return filepath.Join(p.dir, guard.OwnerName)
}

// older refuses a root that had been exchanged for an older copy before: what is gone
// would then seem to have been given up on purpose.
func (p *place) older(newest int64, previous *guard.Rewound) error {
	if p.owner == nil {
		return nil
	}
	if seen, ok := p.owner.Least(p.path, previous); ok && seen > newest {
		return fmt.Errorf("%w: its newest committed batch is %d, though batch %d was committed in it (%s); a rewind would hide that. Restore a newer recovery point", ErrOlder, newest, seen, p.file())
	}
	return nil
}

// record writes down that the root is older on purpose.
func (p *place) record(r *guard.Rewound) error {
	if p.owner == nil || p.owner.Rewinds[p.path] == r.ID {
		return nil
	}
	// As it is now: another root of the place may have been taken back meanwhile.
	d, err := openDisk(p.dir, p.hooks)
	if err != nil {
		return fmt.Errorf("write %s: %w", p.file(), err)
	}
	defer d.root.Close()
	data, err := d.read(guard.OwnerName)
	if err != nil {
		return fmt.Errorf("read %s: %w", p.file(), err)
	}
	owner, err := guard.ReadOwner(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", p.file(), err)
	}
	owner.TookBack(p.path, r)
	if err := d.replaceJSON(guard.OwnerName, owner); err != nil {
		return fmt.Errorf("write %s: %w", p.file(), err)
	}
	return nil
}

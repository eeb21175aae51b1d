// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// disk makes changes below a directory, which no link leads out of.
type disk struct {
	root *os.Root
	hooks
}

// hooks are for tests.
type hooks struct {
	// before is asked before each step; its error ends the run there, as a crash does.
	// Nil: never.
	before func(step string) error
	// unflushed leaves it to the system when things are on disk.
	unflushed bool
}

func openDisk(dir string, h hooks) (*disk, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &disk{root, h}, nil
}

func (d *disk) close() error { return d.root.Close() }

// step runs what a crash can come before.
func (d *disk) step(name string, do func() error) error {
	if d.before != nil {
		if err := d.before(name); err != nil {
			return err
		}
	}
	return do()
}

// mostRead bounds what is read of our own files, in bytes.
const mostRead = 1 << 20

func (d *disk) read(name string) ([]byte, error) {
	file, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, mostRead))
}

func (d *disk) exists(name string) (bool, error) {
	_, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// sync puts the names of a directory on disk.
func (d *disk) sync(dir string) error {
	return d.step("sync "+dir, func() error {
		if d.unflushed {
			return nil
		}
		handle, err := d.root.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(handle.Sync(), handle.Close())
	})
}

// mkdirAll makes a directory with those above it, not yet on disk.
func (d *disk) mkdirAll(dir string) error {
	if dir == "." {
		return nil
	}
	if there, err := d.exists(dir); err != nil || there {
		return err
	}
	if err := d.mkdirAll(path.Dir(dir)); err != nil {
		return err
	}
	return d.step("mkdir "+dir, func() error { return d.root.Mkdir(dir, 0o775) })
}

// write makes a file; a crash may leave a part of it.
func (d *disk) write(name string, flag int, content io.Reader) error {
	var file *os.File
	err := d.step("create "+name, func() (err error) {
		file, err = d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o664)
		return err
	})
	if err != nil {
		return err
	}
	err = d.step("write "+name, func() error { _, err := io.Copy(file, content); return err })
	if err == nil && !d.unflushed {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// rename moves a file or directory; both directories are put on disk.
func (d *disk) rename(from, to string) error {
	if err := d.step("rename "+from, func() error { return d.root.Rename(from, to) }); err != nil {
		return err
	}
	err := d.sync(path.Dir(to))
	if err == nil && path.Dir(from) != path.Dir(to) {
		err = d.sync(path.Dir(from))
	}
	return err
}

func (d *disk) remove(name string) error {
	if err := d.step("remove "+name, func() error { return d.root.Remove(name) }); err != nil {
		return err
	}
	return d.sync(path.Dir(name))
}

func (d *disk) touch(name string, at time.Time) error {
	return d.step("touch "+name, func() error { return d.root.Chtimes(name, time.Time{}, at) })
}

// replaceJSON writes one of our own files, so that it is never seen half written.
func (d *disk) replaceJSON(name string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	fresh := name + ".new"
	if err := d.write(fresh, os.O_TRUNC, bytes.NewReader(text)); err != nil {
		return err
	}
	return d.rename(fresh, name)
}

func newID() string { return rand.Text() }

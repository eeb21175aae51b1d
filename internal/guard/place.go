// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// DirPlace is a directory on a volume.
type DirPlace struct {
	*checkpoint.Dir
	path string
	root *os.Root
}

// OpenDirPlace opens a directory, which is made if its parent is there: a new
// volume is empty. Close it.
func OpenDirPlace(dir string) (*DirPlace, error) {
	if err := os.Mkdir(dir, 0o775); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make the checkpoint's directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the checkpoint's directory: %w", err)
	}
	src, err := checkpoint.OpenDir(dir)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &DirPlace{Dir: src, path: dir, root: root}, nil
}

// Close implements io.Closer.
func (d *DirPlace) Close() error { return errors.Join(d.Dir.Close(), d.root.Close()) }

// Sub implements Place.
func (d *DirPlace) Sub(p string) (checkpoint.Source, func(), error) {
	src, err := checkpoint.OpenDir(filepath.Join(d.path, filepath.FromSlash(p)))
	if err != nil {
		return nil, nil, err
	}
	return src, func() { _ = src.Close() }, nil
}

// Write implements Place: by a new file that is renamed, both on disk before it
// returns.
func (d *DirPlace) Write(_ context.Context, name string, data []byte) error {
	temporary := name + ".new"
	file, err := d.root.Create(temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := d.root.Rename(temporary, name); err != nil {
		return err
	}
	dir, err := d.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// StorePlace is a prefix in an object store.
type StorePlace struct{ checkpoint.Store }

// Sub implements Place.
func (s StorePlace) Sub(p string) (checkpoint.Source, func(), error) {
	sub := s.Store
	if p != "." {
		sub.Prefix += p + "/"
	}
	return sub, func() {}, nil
}

// Write implements Place.
func (s StorePlace) Write(ctx context.Context, name string, data []byte) error {
	_, err := s.Objects.Put(ctx, s.Prefix+name, bytes.NewReader(data), int64(len(data)), objectstore.PutOptions{})
	return err
}

// IsMountPoint says whether something is mounted at a directory, by the list of
// mounts of this process: bind mounts, which kubelets make of volumes, may be on
// the same device as what is around them.
func IsMountPoint(dir string) (bool, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer file.Close()
	return mounted(file, dir)
}

// mounted looks for a directory in a mountinfo file, whose fifth field is the mount
// point with blanks and the like as octal escapes (proc_pid_mountinfo(5)).
func mounted(mountinfo io.Reader, dir string) (bool, error) {
	want := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path.Clean(dir))
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[4] == want {
			return true, nil
		}
	}
	return false, lines.Err()
}

// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package backup

import (
	"errors"
	"io/fs"
	"os"
)

// SyncAll flushes every file, since this system has no way to flush one file
// system and hear about errors.
func SyncAll(dir *os.Root) error {
	return fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := dir.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}

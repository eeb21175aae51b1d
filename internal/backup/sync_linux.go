// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"os"

	"golang.org/x/sys/unix"
)

// SyncAll writes the file system of the directory out, which costs one flush
// where a flush for each file would cost thousands.
func SyncAll(dir *os.Root) error {
	handle, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer handle.Close()
	return unix.Syncfs(int(handle.Fd()))
}

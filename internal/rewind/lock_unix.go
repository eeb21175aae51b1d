// SPDX-License-Identifier: Apache-2.0

//go:build unix

package rewind

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes the file system's lock on a file, which ends with the process; known
// is false where the file system has none.
func tryLock(file *os.File) (free, known bool) {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, true
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, true
		case !errors.Is(err, unix.EINTR):
			return false, false
		}
	}
}

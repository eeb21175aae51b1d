// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"io/fs"
	"syscall"
)

// tagOf is inode and change time: a file that was replaced by renaming another
// over it has another inode, whatever times were set.
func tagOf(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%x-%x", stat.Ino, stat.Ctim.Nano())
}

// SPDX-License-Identifier: Apache-2.0

//go:build unix

package agent

import (
	"io/fs"
	"syscall"

	"sparkpipeline.dev/operator/internal/watch"
)

// volumeOf tells a directory from another one at the same path.
func volumeOf(info fs.FileInfo) watch.Volume {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return watch.Volume{}
	}
	return watch.Volume{Device: uint64(stat.Dev), Inode: stat.Ino}
}

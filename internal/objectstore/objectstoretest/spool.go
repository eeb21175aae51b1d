// SPDX-License-Identifier: Apache-2.0

package objectstoretest

import (
	"os"
	"testing"
)

// SpoolDir is a directory for file lists, in memory where the system has such a
// place: a simulation makes a great many of them.
func SpoolDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "spool-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

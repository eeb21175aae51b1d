// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// takeBackLogs is the naive rewind: entries of both logs that are newer than the batch
// go, with their checksums, and the state stays as it is.
func takeBackLogs(root string, batch int) error {
	for _, log := range []string{"offsets", "commits"} {
		entries, err := os.ReadDir(filepath.Join(root, log))
		if err != nil {
			return fmt.Errorf("take back %s: %w", log, err)
		}
		for _, e := range entries {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(e.Name(), "."), ".crc"))
			if err != nil || n <= batch {
				continue
			}
			if err := os.Remove(filepath.Join(root, log, e.Name())); err != nil {
				return fmt.Errorf("take back %s: %w", log, err)
			}
		}
	}
	return nil
}

// ageZip puts an older zip of RocksDB under a newer version's name, in one partition:
// what a tool does that takes files for interchangeable.
func ageZip(root string, version, older int) error {
	dir := filepath.Join(root, "state", "0", "0")
	data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.zip", older)))
	if err != nil {
		return fmt.Errorf("age a zip: %w", err)
	}
	for _, stale := range []string{".%d.zip.crc", "%d.zip.crc", ".%d.zip.crc.crc"} {
		if err := os.Remove(filepath.Join(dir, fmt.Sprintf(stale, version))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("age a zip: %w", err)
		}
	}
	return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.zip", version)), data, 0o644)
}

// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
)

// Rewind lists what takes a root whose driver is gone back to a committed batch,
// one effect on the file system each: commits go first, then offsets, then state
// of later versions. A crash in between leaves a root that is not to be started;
// another Rewind to the same batch completes it.
func Rewind(files *Files, batch int64) []func() {
	var out []func()
	remove := func(name string) { out = append(out, func() { files.Remove(name) }) }
	for _, dir := range []string{"commits", "offsets", "state"} {
		for _, name := range files.Below(dir) {
			if beyond(name, batch) {
				remove(name)
			}
		}
	}
	return out
}

// beyond says that a file or its checksums belong to the time after a batch.
func beyond(name string, batch int64) bool {
	base := strings.TrimPrefix(path.Base(name), ".")
	var n int64
	if _, err := fmt.Sscanf(base, "%d", &n); err != nil || strings.Contains(name, "/SSTs/") {
		return false
	}
	if strings.HasPrefix(name, "state/") {
		return n > batch+1
	}
	return n > batch
}

// DrawRewind chooses a committed batch from which the root can be gone on with; ok
// is false when there is none but the newest.
func DrawRewind(files *Files, settings Settings, rng *rand.Rand) (batch int64, ok bool) {
	committed := files.numbers("commits", "")
	if len(committed) < 2 {
		return 0, false
	}
	batch = committed[rng.IntN(len(committed)-1)]
	after := files.Clone()
	for _, do := range Rewind(after, batch) {
		do()
	}
	_, err := Start(after, settings, rng)
	return batch, err == nil
}

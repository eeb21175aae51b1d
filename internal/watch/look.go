// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Batch is an entry of offsets/ or commits/.
type Batch struct {
	Number int64
	// Time at which the entry was written, by the clock of the file system.
	Time time.Time
}

// Volume tells one directory from another that took its place.
type Volume struct {
	Device, Inode uint64
}

// Look is what a cheap look at a query root found.
type Look struct {
	// Offsets and Commits are the newest entries of the two logs, oldest first.
	// At least the newest of each is there.
	Offsets, Commits []Batch
	// Volume is zero where there are no directories, in a bucket.
	Volume Volume
	// Working is the name of a mark by which a command of the agent says that it
	// changes the checkpoint; empty: there is none.
	Working string
}

// newest returns the last of the batches.
func newest(batches []Batch) (Batch, bool) {
	if len(batches) == 0 {
		return Batch{}, false
	}
	return batches[len(batches)-1], true
}

// mostRecent bounds how many entries of a log are looked at one by one.
const mostRecent = 24

// Recent picks from the names in a log those entries whose times are to be read,
// oldest first: what is newer than the last one known, and the newest in any case.
// Names that are no entries of a log are passed over.
func Recent(names []string, after int64) []int64 {
	var numbers []int64
	for _, name := range names {
		if n, err := strconv.ParseInt(name, 10, 64); err == nil && n >= 0 && strconv.FormatInt(n, 10) == name {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	slices.SortFunc(numbers, func(a, b int64) int { return cmp.Compare(b, a) })
	keep := 1
	for keep < min(len(numbers), mostRecent) && numbers[keep] > after {
		keep++
	}
	numbers = numbers[:keep]
	slices.Reverse(numbers)
	return numbers
}

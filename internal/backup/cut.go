// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one file of a cut.
type File struct {
	// Path below the root, with slashes.
	Path string
	// Size in bytes.
	Size    int64
	ModTime time.Time
	// Tag changes whenever the file is replaced, for sources that know such a
	// thing: an ETag, or inode and change time. It may be empty.
	Tag string
}

// Topic is what a Kafka broker said about a source of a query when the cut was
// taken. Offsets are by partition.
type Topic struct {
	Name string `json:"name"`
	// ID is the broker's id of the topic: a topic that was deleted and created
	// again has another.
	ID    string          `json:"id,omitempty"`
	Begin map[int32]int64 `json:"begin,omitempty"`
	End   map[int32]int64 `json:"end,omitempty"`
	// Unknown says why something is missing here.
	Unknown string `json:"unknown,omitempty"`
}

// RootInfo describes one query root as it was when the cut was taken.
type RootInfo struct {
	// Root is the place below the checkpoint's mount or location, with slashes;
	// "." when the query's root is the location itself.
	Root    string `json:"root"`
	QueryID string `json:"queryID"`
	// Batch is the committed batch that the cut restores.
	Batch int64 `json:"batch"`
	// SparkVersion that wrote the root, as far as it is known.
	SparkVersion string `json:"sparkVersion,omitempty"`
	// Provider of the state stores: none, hdfs, rocksdb or rocksdb-changelog.
	Provider string `json:"provider"`
	// Location is the absolute path or URI under which the query used the root.
	Location string  `json:"location,omitempty"`
	Topics   []Topic `json:"topics,omitempty"`
}

// Cut is the restorable set of one query root for one committed batch.
type Cut struct {
	RootInfo
	// Files in ascending byte order of Path, each once. An error ends the
	// backup; one that wraps fs.ErrNotExist counts as overtaken.
	Files iter.Seq2[File, error]
	// Open reads a file that must still be the one that was listed: fs.ErrNotExist
	// and ErrOvertaken start the next attempt. What also implements io.ReaderAt is
	// read without an intermediate copy.
	Open func(ctx context.Context, file File) (io.ReadCloser, error)
}

// Plan computes the cuts of all query roots of a pipeline, for the newest batch
// that is restorable now. Backup asks again when it was overtaken.
type Plan func(ctx context.Context) ([]Cut, error)

// FilesOf makes Cut.Files of a list in any order.
func FilesOf(files []File) iter.Seq2[File, error] {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return func(yield func(File, error) bool) {
		for _, file := range sorted {
			if !yield(file, nil) {
				return
			}
		}
	}
}

// checkPath refuses paths that lead out of the root or that a file system could
// take for another one.
func checkPath(p string) error {
	if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, "\\\x00") {
		return fmt.Errorf("%w: %q; allowed is a path below the root without dots, backslashes and empty parts", ErrUnsafePath, p)
	}
	return nil
}

func checkRoot(root string) error {
	if root == "." {
		return nil
	}
	if err := checkPath(root); err != nil {
		return fmt.Errorf("query root: %w", err)
	}
	return nil
}

// checkRoots sorts the cuts by root and refuses roots that share files.
func checkRoots(cuts []Cut) error {
	if len(cuts) == 0 {
		return fmt.Errorf("no query root: %w", ErrNothing)
	}
	slices.SortFunc(cuts, func(a, b Cut) int { return strings.Compare(a.Root, b.Root) })
	for i, cut := range cuts {
		if err := checkRoot(cut.Root); err != nil {
			return err
		}
		for _, other := range cuts[:i] {
			if within(cut.Root, other.Root) || within(other.Root, cut.Root) {
				return fmt.Errorf("%w: %q and %q lie in each other; give each query a directory of its own", ErrNested, other.Root, cut.Root)
			}
		}
	}
	return nil
}

func within(inner, outer string) bool {
	return outer == "." || inner == outer || strings.HasPrefix(inner, outer+"/")
}

// under joins a root and a path below it.
func under(root, p string) string { return path.Join(root, p) }

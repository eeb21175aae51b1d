// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// snapshotZip is what a RocksDB zip says about the files that it shares with
// others.
type snapshotZip struct {
	// shared files: path below the root -> size in bytes.
	shared map[string]int64
}

// Bounds for zips. They hold RocksDB's small files (CURRENT, OPTIONS, MANIFEST,
// the list of shared files); the data is in SSTs beside them.
const (
	largestZip      = 1 << 30
	largestExpanded = 4 << 30
	mostZipEntries  = 100_000
)

// openZip reads a RocksDB zip: every entry against its CRC when whole is set, and
// the list of shared files. Content that is not as it should be is a formatError.
func openZip(ctx context.Context, src Source, store string, f Entry, whole bool) (*snapshotZip, error) {
	body, err := src.Open(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	at, ok := body.(io.ReaderAt)
	size := f.Size
	if !ok {
		if f.Size > largestZip {
			return nil, malformed("is larger than %d bytes, which no such file is", int64(largestZip))
		}
		data, err := io.ReadAll(io.LimitReader(body, f.Size+1))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Path, err)
		}
		at, size = bytes.NewReader(data), int64(len(data))
	}
	archive, err := zip.NewReader(at, size)
	if err != nil {
		return nil, zipError(err)
	}
	return readZip(archive, store, whole)
}

func readZip(archive *zip.Reader, store string, whole bool) (*snapshotZip, error) {
	if len(archive.File) > mostZipEntries {
		return nil, malformed("holds %d entries", len(archive.File))
	}
	var list []byte
	var expanded int64
	for _, f := range archive.File {
		isList := f.Name == "metadata"
		if !whole && !isList {
			continue
		}
		entry, err := f.Open()
		if err != nil {
			return nil, zipError(err)
		}
		limit := largestExpanded - expanded
		if isList {
			limit = min(limit, largestLogEntry)
		}
		var into bytes.Buffer
		var out io.Writer = io.Discard
		if isList {
			out = &into
		}
		n, err := io.Copy(out, io.LimitReader(entry, limit+1))
		_ = entry.Close()
		if err != nil {
			return nil, zipError(err)
		}
		if n > limit {
			return nil, malformed("expands to more than it can hold")
		}
		expanded += n
		if isList {
			list = into.Bytes()
		}
	}
	if list == nil {
		return nil, malformed("lacks the list of its files, the entry metadata")
	}
	return parseFileList(list, store)
}

func zipError(err error) error {
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrAlgorithm) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "flate:") {
		return malformed("is damaged: %v", err)
	}
	return err
}

func parseFileList(data []byte, store string) (*snapshotZip, error) {
	first, rest, _ := strings.Cut(string(data), "\n")
	if first != "v1" && first != "v2" {
		return nil, malformed("has a list of files that starts with %q", clip(first))
	}
	var list struct {
		SSTs []struct {
			Name string `json:"dfsSstFileName"`
			Size int64  `json:"sizeBytes"`
		} `json:"sstFiles"`
		Logs []struct {
			Name string `json:"dfsLogFileName"`
			Size int64  `json:"sizeBytes"`
		} `json:"logFiles"`
	}
	if err := json.Unmarshal([]byte(rest), &list); err != nil {
		return nil, malformed("has a list of files that is not JSON: %v", err)
	}
	z := &snapshotZip{shared: map[string]int64{}}
	add := func(dir, name string, size int64) error {
		if !validSourceID(name) {
			return malformed("names a file %q", clip(name))
		}
		z.shared[store+"/"+dir+"/"+name] = size
		return nil
	}
	for _, f := range list.SSTs {
		if err := add("SSTs", f.Name, f.Size); err != nil {
			return nil, err
		}
	}
	for _, f := range list.Logs {
		if err := add("logs", f.Name, f.Size); err != nil {
			return nil, err
		}
	}
	return z, nil
}

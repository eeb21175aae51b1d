// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// errNothingCommitted says that a query has not finished a batch yet.
var errNothingCommitted = errors.New("no batch is committed yet")

// source is one query root that is being read.
type source struct {
	reader checkpoint.Source
	// file is how a file looks now, with the tag that the listing lacks.
	file  func(path string) (backup.File, error)
	open  func(ctx context.Context, file backup.File) (io.ReadCloser, error)
	close func() error
}

// root implements location.
func (d directory) root(dir string) (*source, error) {
	reader, err := checkpoint.OpenDir(d.place(dir))
	if err != nil {
		return nil, err
	}
	files, err := backup.OpenDir(d.place(dir))
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return &source{reader, files.File, files.Open, func() error { return errors.Join(reader.Close(), files.Close()) }}, nil
}

// root implements location.
func (p prefix) root(dir string) (*source, error) {
	files := backup.StoreSource{Store: p.store, Prefix: p.key(dir)}
	listed := &listedStore{Store: p.store, found: map[string]backup.File{}, fileOf: files.FileOf}
	look := func(path string) (backup.File, error) {
		file, ok := listed.found[path]
		if !ok {
			return file, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		return file, nil
	}
	return &source{checkpoint.Store{Objects: listed, Prefix: p.key(dir)}, look, files.Open, func() error { return nil }}, nil
}

// listedStore keeps what its listing says of each object, for its ETag.
type listedStore struct {
	objectstore.Store
	found  map[string]backup.File
	fileOf func(objectstore.Info) backup.File
}

func (s *listedStore) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		for info, err := range s.Store.List(ctx, prefix) {
			if err == nil {
				file := s.fileOf(info)
				s.found[file.Path] = file
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// cut takes the newest restorable batch of a root. read is from where a copy goes on
// with its Kafka sources; skipped are newer committed batches whose files are not all
// there.
func (s *source) cut(ctx context.Context, info backup.RootInfo) (cut backup.Cut, read []checkpoint.KafkaSpan, skipped []int64, err error) {
	root, err := checkpoint.Open(ctx, s.reader)
	if err != nil {
		return cut, nil, nil, err
	}
	if _, ok := root.LastCommit(); !ok {
		return cut, nil, nil, errNothingCommitted
	}
	selected, skipped, err := root.SelectNewest(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return cut, nil, nil, fmt.Errorf("%w: %w", backup.ErrOvertaken, err)
	}
	if err != nil {
		return cut, nil, nil, err
	}
	info.QueryID, info.Batch, info.Provider = selected.QueryID, selected.Batch, selected.Provider.String()
	return backup.Cut{RootInfo: info, Files: s.files(selected.Files), Open: s.open}, selected.Kafka, skipped, nil
}

// files are the selected ones as they are now; one that changed since it was
// judged belongs to another batch.
func (s *source) files(selected []checkpoint.Entry) iter.Seq2[backup.File, error] {
	return func(yield func(backup.File, error) bool) {
		for _, entry := range selected {
			file, err := s.file(entry.Path)
			if err == nil && (file.Size != entry.Size || !file.ModTime.Equal(entry.ModTime)) {
				err = fmt.Errorf("%w: %s was written again", backup.ErrOvertaken, entry.Path)
			}
			if !yield(file, err) || err != nil {
				return
			}
		}
	}
}

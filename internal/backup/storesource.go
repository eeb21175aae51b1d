// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// StoreSource reads the files of a cut from a query root in an object store. The
// tag of its files is their ETag.
type StoreSource struct {
	Store objectstore.Store
	// Prefix of the root, with a slash at its end.
	Prefix string
}

// Open is a Cut.Open.
func (s StoreSource) Open(ctx context.Context, file File) (io.ReadCloser, error) {
	body, info, err := s.Store.Get(ctx, s.Prefix+file.Path, objectstore.Range{})
	if err != nil {
		return nil, err
	}
	if info.ETag != file.Tag {
		_ = body.Close()
		return nil, fmt.Errorf("%w: %s was written again", ErrOvertaken, file.Path)
	}
	return body, nil
}

// FileOf makes a file of a cut from what the store lists below Prefix.
func (s StoreSource) FileOf(info objectstore.Info) File {
	return File{Path: info.Key[len(s.Prefix):], Size: info.Size, ModTime: info.ModTime, Tag: info.ETag}
}

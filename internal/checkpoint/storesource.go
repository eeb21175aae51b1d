// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// Store is a root in an object store.
type Store struct {
	Objects objectstore.Store
	// Prefix of the root, with a slash at its end.
	Prefix string
}

// Open implements Source.
func (s Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	body, _, err := s.Objects.Get(ctx, s.Prefix+name, objectstore.Range{})
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// List implements Source. Directories are those that objects lie in; the empty
// objects whose key ends in a slash, by which Hadoop marks directories, are left
// out.
func (s Store) List(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	prefix := s.Prefix
	if dir != "." {
		prefix += dir + "/"
	}
	return func(yield func(Entry, error) bool) {
		seen := map[string]bool{".": true, dir: true}
		for info, err := range s.Objects.List(ctx, prefix) {
			if err != nil {
				yield(Entry{}, fmt.Errorf("list %s: %w", dir, err))
				return
			}
			name := strings.TrimPrefix(info.Key, s.Prefix)
			if strings.HasSuffix(name, "/") || !fs.ValidPath(name) {
				continue
			}
			for _, parent := range parents(name, seen) {
				if !yield(Entry{Path: parent, Dir: true}, nil) {
					return
				}
			}
			if !yield(Entry{Path: name, Size: info.Size, ModTime: info.ModTime}, nil) {
				return
			}
		}
	}
}

// parents lists the directories of a path that were not seen yet, outermost first.
func parents(name string, seen map[string]bool) []string {
	var out []string
	for dir := path.Dir(name); !seen[dir]; dir = path.Dir(dir) {
		seen[dir] = true
		out = append([]string{dir}, out...)
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0

// Package objectstore is the narrow view that recovery points need of an object
// store: whole objects by key, listings in key order, deletes in batches.
//
// S3 is the only protocol. Every call retries what may pass by itself, bounded
// by its context, and fails with an *Error whose Kind tells the cause apart and
// whose Advice says what to do. Credentials never appear in an error.
package objectstore

import (
	"context"
	"io"
	"iter"
	"time"
)

// Info is what a store tells about an object without its content.
type Info struct {
	Key string
	// Size in bytes.
	Size int64
	// ModTime is the store's clock when the object was written.
	ModTime time.Time
	// ETag without quotes. It identifies one writing of a key; it is not
	// assumed to be a hash of the content, since encryption and many
	// S3-compatible stores make it something else.
	ETag string
}

// Range is a part of an object in bytes. The zero value means the whole object.
type Range struct {
	Offset int64
	// Length in bytes; 0 means up to the end.
	Length int64
}

// PutOptions refine a Put.
type PutOptions struct {
	// SHA256 of the body in hex. When empty, the store reads the body once
	// more to find it. It is part of the request's signature, so that a body
	// that changed on its way is refused by the server.
	SHA256 string
	// IfAbsent writes only when the key does not exist (If-None-Match: *).
	// Only stores that ProbeConditional found to honour it keep that promise.
	IfAbsent bool
}

// Store is an object store limited to one bucket. All methods may be called
// concurrently.
type Store interface {
	// Put writes size bytes of body as one object: it appears whole or not at
	// all. With IfAbsent an existing key is an Error of KindExists; after a lost
	// answer that key may be the caller's own, so the caller reads it back.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, opts PutOptions) (Info, error)
	// Get reads an object or a part of it. The reader continues by itself after
	// a broken connection, and never mixes two writings of the same key.
	Get(ctx context.Context, key string, part Range) (io.ReadCloser, Info, error)
	// Head returns what is known about an object without reading it.
	Head(ctx context.Context, key string) (Info, error)
	// List streams all objects below a prefix in ascending byte order of keys.
	// It ends at the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Folders returns the parts of keys below a prefix up to the next slash, each
	// once, with that slash and without the prefix: "a/" for "<prefix>a/b/c".
	Folders(ctx context.Context, prefix string) ([]string, error)
	// Delete removes objects in batches. A key that does not exist is no error.
	Delete(ctx context.Context, keys []string) error
}

// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
)

// Get implements Store.
func (s *S3) Get(ctx context.Context, key string, part Range) (io.ReadCloser, Info, error) {
	r := &reader{store: s, ctx: ctx, key: key, next: part.Offset, end: -1}
	if part.Length > 0 {
		r.end = part.Offset + part.Length
	}
	if err := r.open(); err != nil {
		return nil, Info{}, err
	}
	return r, r.info, nil
}

// reader reads one writing of an object and goes on after a broken connection
// where it stopped.
type reader struct {
	store *S3
	ctx   context.Context
	key   string
	// next byte to read, and the first that is not wanted (-1: all).
	next, end int64
	info      Info
	body      io.ReadCloser
	cancel    context.CancelFunc
	idle      *time.Timer
	failures  int
}

var errStalled = errors.New("no byte arrived for too long")

// open asks for what is left. The second and later times it insists on the ETag
// of the first answer.
func (r *reader) open() error {
	return r.store.call(r.ctx, actionGet, r.key, func() error {
		options := minio.GetObjectOptions{}
		if r.next > 0 || r.end >= 0 {
			last := int64(0)
			if r.end >= 0 {
				last = r.end - 1
			}
			if err := options.SetRange(r.next, last); err != nil {
				return err
			}
		}
		if r.info.ETag != "" {
			if err := options.SetMatchETag(r.info.ETag); err != nil {
				return err
			}
		}
		return r.request(options)
	})
}

func (r *reader) request(options minio.GetObjectOptions) error {
	ctx, cancel := context.WithCancel(r.ctx)
	idle := time.AfterFunc(r.store.idle, cancel)
	body, found, _, err := r.store.core.GetObject(ctx, r.store.options.Bucket, r.key, options)
	if err != nil {
		stalled := !idle.Stop()
		cancel()
		return r.openError(err, stalled)
	}
	r.body, r.cancel, r.idle = body, cancel, idle
	if r.info.Key == "" {
		r.info = infoOf(found)
		// A range that goes past the object's end is answered with what there is.
		if r.end < 0 || r.next+found.Size < r.end {
			r.end = r.next + found.Size
		}
	}
	return nil
}

func (r *reader) openError(err error, stalled bool) error {
	switch {
	case stalled && r.ctx.Err() == nil:
		return &Error{Kind: KindNetwork, Action: actionGet, Bucket: r.store.options.Bucket, Key: r.key, Err: errStalled}
	case classify(err) == KindExists: // a failed If-Match, not a failed If-None-Match
		return &Error{Kind: KindChanged, Action: actionGet, Bucket: r.store.options.Bucket, Key: r.key, Err: err}
	default:
		return err
	}
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.next >= r.end {
		return 0, io.EOF
	}
	for {
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		p = p[:min(int64(len(p)), r.end-r.next)]
		n, err := r.body.Read(p)
		r.idle.Reset(r.store.idle)
		r.next += int64(n)
		if n > 0 {
			r.failures = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if broken := r.broken(err); broken != nil {
			return 0, broken
		}
	}
}

// broken decides after a failed read whether to ask again, which the next round
// of Read does.
func (r *reader) broken(err error) error {
	r.drop()
	if ended := r.ctx.Err(); ended != nil {
		return r.store.explain(actionGet, r.key, errors.Join(errEnded, ended))
	}
	r.failures++
	if r.failures < r.store.backoff.Attempts {
		if sleep(r.ctx, wait(r.store.backoff.First)) {
			return nil
		}
		return r.store.explain(actionGet, r.key, errors.Join(errEnded, r.ctx.Err()))
	}
	cause := fmt.Errorf("connection broke %d times at byte %d: %w", r.failures, r.next, err)
	return &Error{Kind: KindNetwork, Action: actionGet, Bucket: r.store.options.Bucket, Key: r.key, Err: cause}
}

func (r *reader) drop() {
	if r.body == nil {
		return
	}
	r.idle.Stop()
	r.cancel()
	_ = r.body.Close()
	r.body = nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.drop()
	r.next = r.end
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Permissions of S3 that the operations need.
const (
	actionPut    = "s3:PutObject"
	actionGet    = "s3:GetObject"
	actionList   = "s3:ListBucket"
	actionDelete = "s3:DeleteObject"
)

// slowest is the rate in bytes a second below which an upload counts as stuck.
const slowest = 64 << 10

// S3 is a bucket of an S3 or S3-compatible store.
type S3 struct {
	core     *minio.Core
	options  Options
	sse      encrypt.ServerSide
	backoff  Backoff
	creds    *credentials.Credentials
	idle     time.Duration
	partSize int64
}

var _ Store = (*S3)(nil)

// Open checks the options and prepares a client. It sends no request.
func Open(o Options) (*S3, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	host, secure, err := o.endpoint()
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	sse, err := o.serverSide()
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	transport, err := o.transport(secure)
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	creds := o.Credentials
	if creds == nil {
		creds = DefaultCredentials(o.Region)
	}
	lookup := minio.BucketLookupDNS
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(host, &minio.Options{
		Creds: creds, Secure: secure, Region: o.Region, Transport: transport, BucketLookup: lookup, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	backoff := o.Backoff
	if backoff.Attempts == 0 {
		backoff = DefaultBackoff()
	}
	return &S3{core: core, options: o, sse: sse, backoff: backoff, creds: creds, idle: o.idle(), partSize: o.partSize()}, nil
}

// call retries one operation and gives its error a kind.
func (s *S3) call(ctx context.Context, action, key string, attempt func() error) error {
	err := s.backoff.do(ctx, func() error {
		if err := present(s.creds); err != nil {
			return err
		}
		return attempt()
	})
	return s.explain(action, key, err)
}

func (s *S3) explain(action, key string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Kind: classify(err), Action: action, Bucket: s.options.Bucket, Key: key, Err: err}
}

func (s *S3) putOptions(ifAbsent bool) minio.PutObjectOptions {
	options := minio.PutObjectOptions{
		ContentType:          "application/octet-stream",
		ServerSideEncryption: s.sse,
		StorageClass:         s.options.StorageClass,
		// Not a hash of each chunk, but the one of the whole body, which is given.
		DisableContentSha256: true,
	}
	if ifAbsent {
		options.SetMatchETagExcept("*")
	}
	return options
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, key string, body io.ReaderAt, size int64, opts PutOptions) (Info, error) {
	if size > s.partSize && !opts.IfAbsent {
		return s.putParts(ctx, key, body, size)
	}
	sum := opts.SHA256
	if sum == "" {
		var err error
		if sum, err = hashOf(io.NewSectionReader(body, 0, size)); err != nil {
			return Info{}, s.explain(actionPut, key, err)
		}
	}
	var uploaded minio.UploadInfo
	err := s.call(ctx, actionPut, key, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.sendTimeout(size))
		defer cancel()
		var err error
		uploaded, err = s.core.PutObject(ctx, s.options.Bucket, key, io.NewSectionReader(body, 0, size), size, "", sum,
			s.putOptions(opts.IfAbsent))
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return Info{Key: key, Size: size, ETag: uploaded.ETag}, nil
}

func (s *S3) sendTimeout(size int64) time.Duration {
	return s.idle + time.Duration(size/slowest)*time.Second
}

func hashOf(r io.Reader) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Head implements Store.
func (s *S3) Head(ctx context.Context, key string) (Info, error) {
	var found minio.ObjectInfo
	err := s.call(ctx, actionGet, key, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.idle)
		defer cancel()
		var err error
		found, err = s.core.StatObject(ctx, s.options.Bucket, key, minio.StatObjectOptions{})
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return infoOf(found), nil
}

func infoOf(o minio.ObjectInfo) Info {
	return Info{Key: o.Key, Size: o.Size, ModTime: o.LastModified, ETag: o.ETag}
}

// List implements Store. A page that fails is asked for again from the last key
// that was delivered, so that a listing of many pages survives a bad one.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		last, stopped := "", false
		err := s.listAll(ctx, prefix, &last, func(info Info) bool {
			stopped = !yield(info, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Info{}, err)
		}
	}
}

func (s *S3) listAll(ctx context.Context, prefix string, last *string, deliver func(Info) bool) error {
	withoutOwner := false
	for {
		before := *last
		var failed error
		err := s.call(ctx, actionList, prefix, func() error {
			failed = nil
			start := *last
			for object := range s.core.ListObjectsIter(ctx, s.options.Bucket, minio.ListObjectsOptions{
				Prefix: prefix, Recursive: true, StartAfter: start, FetchOwner: &withoutOwner,
			}) {
				if object.Err != nil {
					failed = object.Err
					break
				}
				if object.Key <= *last && *last != "" {
					continue // a store that ignores start-after begins anew
				}
				*last = object.Key
				if !deliver(infoOf(object)) {
					return nil
				}
			}
			// Progress resets the attempts: only a page that fails again and
			// again ends the listing.
			if failed != nil && *last == before {
				return failed
			}
			return nil
		})
		if err != nil || failed == nil {
			return err
		}
	}
}

// Folders implements Store.
func (s *S3) Folders(ctx context.Context, prefix string) (folders []string, err error) {
	withoutOwner := false
	err = s.call(ctx, actionList, prefix, func() error {
		folders = nil
		for object := range s.core.ListObjectsIter(ctx, s.options.Bucket, minio.ListObjectsOptions{Prefix: prefix, FetchOwner: &withoutOwner}) {
			if object.Err != nil {
				return object.Err
			}
			if folder := strings.TrimPrefix(object.Key, prefix); folder != "" && strings.HasSuffix(folder, "/") {
				folders = append(folders, folder)
			}
		}
		return nil
	})
	slices.Sort(folders)
	return folders, err
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, keys []string) error {
	left := keys
	for len(left) > 0 {
		batch := left[:min(len(left), 1000)]
		left = left[len(batch):]
		if err := s.deleteBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (s *S3) deleteBatch(ctx context.Context, keys []string) error {
	return s.call(ctx, actionDelete, keys[0], func() error {
		objects := make(chan minio.ObjectInfo, len(keys))
		for _, key := range keys {
			objects <- minio.ObjectInfo{Key: key}
		}
		close(objects)
		var failed error
		for result := range s.core.RemoveObjectsWithResult(ctx, s.options.Bucket, objects, minio.RemoveObjectsOptions{}) {
			if result.Err != nil && classify(result.Err) != KindNotFound && failed == nil {
				failed = fmt.Errorf("delete %s: %w", result.ObjectName, result.Err)
			}
		}
		return failed
	})
}

// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
)

// putParts sends a large object in parts, one after another: several files are
// sent at the same time by the caller, and a part that fails is sent again alone.
func (s *S3) putParts(ctx context.Context, key string, body io.ReaderAt, size int64) (Info, error) {
	var id string
	err := s.call(ctx, actionPut, key, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.idle)
		defer cancel()
		var err error
		id, err = s.core.NewMultipartUpload(ctx, s.options.Bucket, key, s.putOptions(false))
		return err
	})
	if err != nil {
		return Info{}, err
	}
	info, err := s.sendParts(ctx, key, id, body, size)
	if err != nil {
		s.abort(ctx, key, id)
		return Info{}, err
	}
	return info, nil
}

func (s *S3) sendParts(ctx context.Context, key, id string, body io.ReaderAt, size int64) (Info, error) {
	var parts []minio.CompletePart
	step := max(s.partSize, (size+9_999)/10_000) // at most 10,000 parts
	for offset := int64(0); offset < size; offset += step {
		length := min(step, size-offset)
		part, err := s.sendPart(ctx, key, id, len(parts)+1, io.NewSectionReader(body, offset, length))
		if err != nil {
			return Info{}, err
		}
		parts = append(parts, part)
	}
	var uploaded minio.UploadInfo
	err := s.call(ctx, actionPut, key, func() error {
		var err error
		uploaded, err = s.core.CompleteMultipartUpload(ctx, s.options.Bucket, key, id, parts, s.putOptions(false))
		return err
	})
	if err != nil {
		return s.completedAnyway(ctx, key, size, err)
	}
	return Info{Key: key, Size: size, ETag: uploaded.ETag}, nil
}

// completedAnyway covers a completion whose answer was lost: asked again, the
// store no longer knows the upload, but the object is there. Keys are never
// written twice by backups, so an object of the right size is ours.
func (s *S3) completedAnyway(ctx context.Context, key string, size int64, cause error) (Info, error) {
	info, err := s.Head(ctx, key)
	if err != nil || info.Size != size {
		return Info{}, cause
	}
	return info, nil
}

func (s *S3) sendPart(ctx context.Context, key, id string, number int, body *io.SectionReader) (minio.CompletePart, error) {
	sum, err := hashOf(body)
	if err != nil {
		return minio.CompletePart{}, s.explain(actionPut, key, err)
	}
	var part minio.ObjectPart
	err = s.call(ctx, actionPut, key, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.sendTimeout(body.Size()))
		defer cancel()
		whole := io.NewSectionReader(body, 0, body.Size())
		var err error
		part, err = s.core.PutObjectPart(ctx, s.options.Bucket, key, id, number, whole, body.Size(),
			minio.PutObjectPartOptions{Sha256Hex: sum, DisableContentSha256: true})
		return err
	})
	return minio.CompletePart{PartNumber: number, ETag: part.ETag}, err
}

// abort gives the parts' space back. It has its own deadline, since the usual
// reason to come here is that the caller's context has ended; what it leaves is
// for the bucket's lifecycle rule for incomplete uploads.
func (s *S3) abort(ctx context.Context, key, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = s.core.AbortMultipartUpload(ctx, s.options.Bucket, key, id)
}

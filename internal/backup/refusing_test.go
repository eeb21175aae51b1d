// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"io"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// refusing is a store that does not know conditional writes and says so.
type refusing struct{ objectstore.Store }

func (r refusing) Put(ctx context.Context, key string, body io.ReaderAt, size int64, opts objectstore.PutOptions) (objectstore.Info, error) {
	if opts.IfAbsent {
		err := errors.New("a header you provided implies functionality that is not implemented")
		return objectstore.Info{}, &objectstore.Error{Kind: objectstore.KindOther, Action: "s3:PutObject", Key: key, Err: err}
	}
	return r.Store.Put(ctx, key, body, size, opts)
}

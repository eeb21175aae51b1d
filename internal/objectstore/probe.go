// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// ProbeConditional finds out whether the store honours If-None-Match on writes.
// Stores that do not know the header either refuse it or, worse, ignore it, so
// that only a second write to the same key can tell. It leaves nothing behind.
func ProbeConditional(ctx context.Context, s Store, prefix string) (honoured bool, err error) {
	key := probeKey(prefix)
	defer func() {
		err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), []string{key}))
	}()
	for attempt := range 2 {
		body := fmt.Appendf(nil, "probe %d", attempt)
		_, err := s.Put(ctx, key, bytes.NewReader(body), int64(len(body)), PutOptions{IfAbsent: true})
		switch kind := KindOf(err); {
		case err == nil && attempt == 1:
			return false, nil
		case err == nil:
		case kind == KindExists && attempt == 1:
			return true, nil
		case kind == KindOther: // not implemented, invalid argument
			return false, nil
		default:
			return false, fmt.Errorf("probe conditional writes: %w", err)
		}
	}
	return false, nil
}

// Right is one permission and whether the credentials have it.
type Right struct {
	// Action of S3, such as s3:PutObject.
	Action string `json:"action"`
	// Err is nil when the right is there.
	Err error `json:"-"`
}

// Rights writes, reads, lists and deletes a probe object below prefix and tells
// for each of these whether it worked. A right that cannot be judged, because an
// earlier one is missing, is left out.
func Rights(ctx context.Context, s Store, prefix string) []Right {
	key := probeKey(prefix)
	body := []byte("probe")
	_, putErr := s.Put(ctx, key, bytes.NewReader(body), int64(len(body)), PutOptions{})
	rights := []Right{{actionPut, putErr}, {actionList, probeList(ctx, s, key)}}
	if putErr != nil {
		return rights
	}
	rights = append(rights, Right{actionGet, probeGet(ctx, s, key, body)})
	return append(rights, Right{actionDelete, s.Delete(ctx, []string{key})})
}

func probeList(ctx context.Context, s Store, key string) error {
	for _, err := range s.List(ctx, key) {
		if err != nil {
			return err
		}
	}
	return nil
}

func probeGet(ctx context.Context, s Store, key string, want []byte) error {
	r, _, err := s.Get(ctx, key, Range{})
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return &Error{Kind: KindCorrupted, Action: actionGet, Key: key, Err: errors.New("read other bytes than were written")}
	}
	return nil
}

func probeKey(prefix string) string { return prefix + "probe-" + rand.Text() }

// ReadRights tells what Rights does, for a bucket that is only read: it lists
// below prefix and reads a byte of what it finds first. In an empty bucket the
// right to read cannot be judged and is left out.
func ReadRights(ctx context.Context, s Store, prefix string) []Right {
	for info, err := range s.List(ctx, prefix) {
		if err != nil {
			return []Right{{actionList, err}}
		}
		return []Right{{actionList, nil}, {actionGet, probeByte(ctx, s, info)}}
	}
	return []Right{{actionList, nil}}
}

// probeByte reads the first byte. Only an answer about the caller's rights
// counts: an object may be gone by now, or lie in a class that cannot be read.
func probeByte(ctx context.Context, s Store, info Info) error {
	r, _, err := s.Get(ctx, info.Key, Range{Length: min(info.Size, 1)})
	if err == nil {
		return r.Close()
	}
	switch KindOf(err) {
	case KindNotFound, KindChanged, KindOther:
		return nil
	default:
		return err
	}
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// prefixTarget is a prefix of a bucket. An object appears whole or not at all, so a
// crash leaves no half of one.
type prefixTarget struct {
	store objectstore.Store
	// prefix is empty or ends with a slash.
	prefix string
	spool  string
	// spooled bounds the files on disk.
	spooled chan struct{}
}

func newPrefixTarget(store objectstore.Store, prefix, spool string, spooled int) (*prefixTarget, error) {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return nil, errors.New("the target is a whole bucket; give a prefix in it")
	}
	if err := checkPath(prefix); err != nil {
		return nil, fmt.Errorf("prefix of the target: %w", err)
	}
	return &prefixTarget{store: store, prefix: prefix + "/", spool: spool, spooled: make(chan struct{}, spooled)}, nil
}

func (t *prefixTarget) close() {}

func (t *prefixTarget) flush() error { return nil }

// order has commits last: objects get the time of their writing, and state that is
// younger than the commit of its batch is the trace of a second driver.
func (t *prefixTarget) order() []func(string) bool {
	isCommit := func(path string) bool { return strings.HasPrefix(path, "commits/") }
	return []func(string) bool{func(path string) bool { return !isCommit(path) }, isCommit}
}

func (t *prefixTarget) record(ctx context.Context) (*RestoreRecord, error) {
	body, _, err := t.store.Get(ctx, t.prefix+RestoreRecordName, objectstore.Range{})
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the restore record: %w", err)
	}
	defer body.Close()
	return parseRestoreRecord(body)
}

func (t *prefixTarget) writeRecord(ctx context.Context, record *RestoreRecord) error {
	if _, err := putRecord(ctx, t.store, t.prefix+RestoreRecordName, record, false); err != nil {
		return fmt.Errorf("write the restore record: %w", err)
	}
	return nil
}

// foreign passes over the empty objects by which Hadoop marks directories.
func (t *prefixTarget) foreign(ctx context.Context) (string, error) {
	for info, err := range t.store.List(ctx, t.prefix) {
		if err != nil {
			return "", err
		}
		if name := strings.TrimPrefix(info.Key, t.prefix); info.Size > 0 || name != "" && !strings.HasSuffix(name, "/") {
			return name, nil
		}
	}
	return "", nil
}

func (t *prefixTarget) holds(ctx context.Context, name string, e *entry) (bool, error) {
	body, info, err := t.store.Get(ctx, t.prefix+name, objectstore.Range{})
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close()
	if info.Size != e.Size {
		return false, nil
	}
	_, err = io.Copy(io.Discard, verifying(e, body))
	if errors.Is(err, ErrDamaged) {
		return false, nil
	}
	return err == nil, err
}

func (t *prefixTarget) write(ctx context.Context, name string, e *entry, body io.Reader) error {
	if e.Size <= smallFile {
		content, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return t.put(ctx, name, e, bytes.NewReader(content))
	}
	select {
	case t.spooled <- struct{}{}:
		defer func() { <-t.spooled }()
	case <-ctx.Done():
		return ctx.Err()
	}
	file, err := spoolFile(t.spool)
	if err != nil {
		return err
	}
	defer file.Close()
	// All of it is read, and so compared with its hash, before a byte is sent.
	if _, err := io.Copy(file, body); err != nil {
		return err
	}
	return t.put(ctx, name, e, file)
}

func (t *prefixTarget) put(ctx context.Context, name string, e *entry, content io.ReaderAt) error {
	_, err := t.store.Put(ctx, t.prefix+name, content, e.Size, objectstore.PutOptions{SHA256: e.SHA256})
	return err
}

// SPDX-License-Identifier: Apache-2.0

// Package objectstoretest holds an object store in memory for tests, strongly
// consistent as S3 is, with a hook before every operation.
package objectstoretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// Operation is one call that is about to have its effect.
type Operation struct {
	Name string // Put, Get, Head, List, Delete
	Key  string
}

// Memory is an object store in memory.
type Memory struct {
	// Before is asked before every operation; its error is returned instead of
	// the effect. Nil: never.
	Before func(Operation) error
	// Now is the store's clock. Nil: time.Now.
	Now func() time.Time

	mu      sync.Mutex
	objects map[string]object
	writes  int
}

type object struct {
	body    []byte
	modTime time.Time
	etag    string
}

var _ objectstore.Store = (*Memory)(nil)

func (m *Memory) begin(name, key string) error {
	if m.Before == nil {
		return nil
	}
	if err := m.Before(Operation{Name: name, Key: key}); err != nil {
		return fmt.Errorf("%s %s: %w", name, key, err)
	}
	return nil
}

func fail(kind objectstore.Kind, action, key string) error {
	return &objectstore.Error{Kind: kind, Action: action, Bucket: "memory", Key: key, Err: errors.New(string(kind))}
}

// Put implements objectstore.Store.
func (m *Memory) Put(_ context.Context, key string, body io.ReaderAt, size int64, opts objectstore.PutOptions) (objectstore.Info, error) {
	if err := m.begin("Put", key); err != nil {
		return objectstore.Info{}, err
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(body, 0, size), content); err != nil {
		return objectstore.Info{}, fmt.Errorf("read the body of %s: %w", key, err)
	}
	sum := sha256.Sum256(content)
	if opts.SHA256 != "" && opts.SHA256 != hex.EncodeToString(sum[:]) {
		return objectstore.Info{}, fail(objectstore.KindCorrupted, "s3:PutObject", key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[key]; there && opts.IfAbsent {
		return objectstore.Info{}, fail(objectstore.KindExists, "s3:PutObject", key)
	}
	if m.objects == nil {
		m.objects = map[string]object{}
	}
	m.writes++
	m.objects[key] = object{body: content, modTime: m.now(), etag: fmt.Sprint(m.writes)}
	return m.info(key), nil
}

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (m *Memory) info(key string) objectstore.Info {
	o := m.objects[key]
	return objectstore.Info{Key: key, Size: int64(len(o.body)), ModTime: o.modTime, ETag: o.etag}
}

// Get implements objectstore.Store.
func (m *Memory) Get(_ context.Context, key string, part objectstore.Range) (io.ReadCloser, objectstore.Info, error) {
	if err := m.begin("Get", key); err != nil {
		return nil, objectstore.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[key]
	if !there {
		return nil, objectstore.Info{}, fail(objectstore.KindNotFound, "s3:GetObject", key)
	}
	if part.Offset > int64(len(o.body)) {
		return nil, objectstore.Info{}, fail(objectstore.KindOther, "s3:GetObject", key)
	}
	body := o.body[part.Offset:]
	if part.Length > 0 {
		body = body[:min(part.Length, int64(len(body)))]
	}
	return io.NopCloser(bytes.NewReader(body)), m.info(key), nil
}

// Head implements objectstore.Store.
func (m *Memory) Head(_ context.Context, key string) (objectstore.Info, error) {
	if err := m.begin("Head", key); err != nil {
		return objectstore.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[key]; !there {
		return objectstore.Info{}, fail(objectstore.KindNotFound, "s3:GetObject", key)
	}
	return m.info(key), nil
}

// List implements objectstore.Store.
func (m *Memory) List(_ context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		if err := m.begin("List", prefix); err != nil {
			yield(objectstore.Info{}, err)
			return
		}
		for _, info := range m.snapshot(prefix) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (m *Memory) snapshot(prefix string) []objectstore.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []objectstore.Info
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, m.info(key))
		}
	}
	return found
}

// Folders implements objectstore.Store.
func (m *Memory) Folders(_ context.Context, prefix string) ([]string, error) {
	if err := m.begin("List", prefix); err != nil {
		return nil, err
	}
	var folders []string
	for _, info := range m.snapshot(prefix) {
		name, _, deeper := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		if deeper && !slices.Contains(folders, name+"/") {
			folders = append(folders, name+"/")
		}
	}
	return folders, nil
}

// Delete implements objectstore.Store. The hook is asked before each key, so
// that a crash can come in the middle of a batch.
func (m *Memory) Delete(_ context.Context, keys []string) error {
	for _, key := range keys {
		if err := m.begin("Delete", key); err != nil {
			return err
		}
		m.mu.Lock()
		delete(m.objects, key)
		m.mu.Unlock()
	}
	return nil
}

// Change edits an object behind the back of its users.
func (m *Memory) Change(key string, edit func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.objects[key]
	o.body = edit(slices.Clone(o.body))
	m.objects[key] = o
}

// Keys lists what is there.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

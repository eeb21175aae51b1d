// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/server"
)

// running is the server of all tests of this package: a process can have one.
var running struct {
	*server.Server
	dir string
	// home is the directory of this package: the server changes into its own.
	home string
}

func TestMain(m *testing.M) {
	if os.Getenv(fullDiskTarget) != "" {
		os.Exit(restoreToFullDisk())
	}
	os.Exit(withServer(m))
}

func withServer(m *testing.M) int {
	home, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "s3-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	s, err := server.Start(dir, "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	running.Server, running.dir, running.home = s, dir, home
	code := m.Run()
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// bucket makes a bucket of the test's own.
func bucket(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("b-%x", sha256.Sum256([]byte(t.Name())))[:30]
	if err := os.MkdirAll(filepath.Join(running.dir, "buckets", name), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// options of the user who may do everything, with short waits.
func options(bucket string) objectstore.Options { return optionsAt(running.URL, bucket) }

func optionsAt(url, bucket string) objectstore.Options {
	return objectstore.Options{
		Endpoint: url, Region: server.Region, Bucket: bucket, PathStyle: true,
		Credentials: objectstore.StaticCredentials(server.RootAccess, server.RootSecret, ""),
		Backoff:     objectstore.Backoff{Attempts: 5, First: time.Millisecond, Longest: 10 * time.Millisecond},
		Idle:        10 * time.Second,
	}
}

func connect(t *testing.T, o objectstore.Options) *objectstore.S3 {
	t.Helper()
	store, err := objectstore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func put(t *testing.T, store objectstore.Store, key, content string) {
	t.Helper()
	if _, err := store.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), objectstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func expectKind(t *testing.T, err error, want objectstore.Kind) {
	t.Helper()
	if got := objectstore.KindOf(err); got != want {
		t.Errorf("kind is %q (%v), want %q", got, err, want)
	}
}

// noise is content that does not compress.
func noise(seed, size int) string {
	out := make([]byte, 0, size+32)
	for i := 0; len(out) < size; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", seed, i))
		out = append(out, sum[:]...)
	}
	return string(out[:size])
}

var owner = backup.Holder{UID: "0b5c", Cluster: "east", Namespace: "shop", Name: "clicks"}

// sample is a root with empty, small and large files.
func sample() map[string]string {
	files := map[string]string{"metadata": `{"id":"a"}`, "commits/1": ""}
	for i := range 200 {
		files[fmt.Sprintf("state/0/%d/%d.delta", i%8, i)] = noise(i, 500+40*i)
	}
	for i := range 6 {
		files[fmt.Sprintf("state/0/%d/9.snapshot", i)] = noise(1000+i, 700<<10)
	}
	return files
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	hourAgo := time.Now().Add(-time.Hour)
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644), os.Chtimes(path, hourAgo, hourAgo))
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// whole is a plan that takes every file of a directory as one root.
func whole(dir string) backup.Plan {
	return func(context.Context) ([]backup.Cut, error) {
		d, err := backup.OpenDir(dir)
		if err != nil {
			return nil, err
		}
		var files []backup.File
		err = fs.WalkDir(d.FS(), ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			file, err := d.File(path)
			files = append(files, file)
			return err
		})
		info := backup.RootInfo{Root: ".", QueryID: "q", Batch: 1, Provider: "hdfs"}
		return []backup.Cut{{RootInfo: info, Files: backup.FilesOf(files), Open: d.Open}}, err
	}
}

func repository(t *testing.T, store objectstore.Store) *backup.Repository {
	t.Helper()
	repo, err := backup.Open(store, backup.Options{Prefix: "backups/clicks", Owner: owner.UID, Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func expectContent(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == backup.RestoreRecordName {
			return err
		}
		found++
		body, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		if string(body) != want[name] {
			t.Errorf("%s has %d bytes, not the %d that were backed up", name, len(body), len(want[name]))
		}
		return err
	})
	if err != nil || found != len(want) {
		t.Errorf("restored %d files, want %d (%v)", found, len(want), err)
	}
}

func plainTransport() http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.MaxIdleConnsPerHost = 64
	return transport
}

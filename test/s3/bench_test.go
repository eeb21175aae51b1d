// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/server"
)

// concurrency of the bare loops and of the backups beside them.
const concurrency = 16

// checkpointTree is like the checkpoint of a stateful query: 5050 files, 216 MiB.
func checkpointTree(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	hourAgo := time.Now().Add(-time.Hour)
	add := func(name string, seed, size int) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(noise(seed, size)), 0o644); err != nil {
			b.Fatal(err)
		}
		if err := os.Chtimes(path, hourAgo, hourAgo); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 500 {
		add(fmt.Sprintf("offsets/%d", i), i, 60+i%240)
		add(fmt.Sprintf("commits/%d", i), i, 60+i%30)
	}
	for i := range 4000 {
		add(fmt.Sprintf("state/0/%d/%d.delta", i%50, i/50), i, 512+(i*1789)%7680)
	}
	for i := range 50 {
		add(fmt.Sprintf("state/0/%d/80.snapshot", i), i, 4<<20)
	}
	return dir
}

func benchStore(b *testing.B, name string) (*objectstore.S3, *minio.Client, string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Join(running.dir, "buckets", name), 0o755); err != nil {
		b.Fatal(err)
	}
	store, err := objectstore.Open(options(name))
	if err != nil {
		b.Fatal(err)
	}
	client, err := minio.New(running.URL[len("http://"):], &minio.Options{
		Creds: objectstore.StaticCredentials(server.RootAccess, server.RootSecret, ""), Region: server.Region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		b.Fatal(err)
	}
	return store, client, name
}

func BenchmarkBareUpload(b *testing.B) {
	dir := checkpointTree(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		_, client, name := benchStore(b, fmt.Sprintf("bare-%d", i))
		b.StartTimer()
		if err := bareUpload(b, client, name, dir); err != nil {
			b.Fatal(err)
		}
	}
}

func bareUpload(b *testing.B, client *minio.Client, bucket, dir string) error {
	var g errgroup.Group
	g.SetLimit(concurrency)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(dir, path)
		g.Go(func() error {
			_, err := client.FPutObject(b.Context(), bucket, key, path, minio.PutObjectOptions{})
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	return g.Wait()
}

func BenchmarkBareDownload(b *testing.B) {
	dir := checkpointTree(b)
	_, client, name := benchStore(b, "bare-down")
	if err := bareUpload(b, client, name, dir); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		target := b.TempDir()
		b.StartTimer()
		var g errgroup.Group
		g.SetLimit(concurrency)
		for object := range client.ListObjects(b.Context(), name, minio.ListObjectsOptions{Recursive: true}) {
			g.Go(func() error {
				return client.FGetObject(b.Context(), name, object.Key, filepath.Join(target, object.Key), minio.GetObjectOptions{})
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchRepository(b *testing.B, store objectstore.Store) *backup.Repository {
	b.Helper()
	repo, err := backup.Open(store, backup.Options{Prefix: "p", Owner: owner.UID, Spool: b.TempDir(), Concurrency: concurrency})
	if err != nil {
		b.Fatal(err)
	}
	return repo
}

func mustBackUp(b *testing.B, repo *backup.Repository, dir string) *backup.Manifest {
	b.Helper()
	m, err := repo.Backup(b.Context(), backup.BackupOptions{Holder: owner, Plan: whole(dir)})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkFirstCopy includes the listing of the source, all hashes and the
// verification of the point.
func BenchmarkFirstCopy(b *testing.B) {
	dir := checkpointTree(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		store, _, _ := benchStore(b, fmt.Sprintf("first-%d", i))
		repo := benchRepository(b, store)
		b.StartTimer()
		mustBackUp(b, repo, dir)
	}
}

func BenchmarkNothingChanged(b *testing.B) {
	dir := checkpointTree(b)
	store, _, _ := benchStore(b, "nothing")
	repo := benchRepository(b, store)
	mustBackUp(b, repo, dir)
	for b.Loop() {
		if m := mustBackUp(b, repo, dir); m.SentBytes != 0 {
			b.Fatalf("sent %d bytes", m.SentBytes)
		}
	}
}

func BenchmarkHundredNewFiles(b *testing.B) {
	dir := checkpointTree(b)
	store, _, _ := benchStore(b, "hundred")
	repo := benchRepository(b, store)
	mustBackUp(b, repo, dir)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		for k := range 100 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("state/0/%d/%d.delta", k%50, 1000+200*i+k)), bytes.Repeat([]byte{byte(i)}, 3000), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		mustBackUp(b, repo, dir)
	}
}

func BenchmarkRestore(b *testing.B) {
	dir := checkpointTree(b)
	store, _, _ := benchStore(b, "restore")
	repo := benchRepository(b, store)
	m := mustBackUp(b, repo, dir)
	for b.Loop() {
		b.StopTimer()
		target := b.TempDir()
		b.StartTimer()
		if _, err := repo.Restore(b.Context(), backup.RestoreOptions{Point: m.ID, Target: target}); err != nil {
			b.Fatal(err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/server"
)

// concurrency of the bare loops and of every tool.
const concurrency = 16

// bare is a process of its own that moves files one by one with the client library
// of the agent, and does nothing else: the floor.
func bare(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("arguments are %q; required are upload or download, the server's URL, a bucket and a directory", args)
	}
	address, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	client, err := minio.New(address.Host, &minio.Options{
		Creds:  objectstore.StaticCredentials(server.RootAccess, server.RootSecret, ""),
		Region: server.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return err
	}
	if args[0] == "upload" {
		return bareUpload(ctx, client, args[2], args[3])
	}
	return bareDownload(ctx, client, args[2], args[3])
}

func bareUpload(ctx context.Context, client *minio.Client, bucket, dir string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrency)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(dir, path)
		g.Go(func() error {
			_, err := client.FPutObject(ctx, bucket, key, path, minio.PutObjectOptions{})
			return err
		})
		return err
	})
	if waited := g.Wait(); err == nil {
		err = waited
	}
	return err
}

func bareDownload(ctx context.Context, client *minio.Client, bucket, dir string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrency)
	for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return object.Err
		}
		g.Go(func() error { return bareFile(ctx, client, bucket, object.Key, filepath.Join(dir, object.Key)) })
	}
	return g.Wait()
}

// bareFile writes to the final name at once. The library's own FGetObject asks for
// each object twice.
func bareFile(ctx context.Context, client *minio.Client, bucket, key, path string) error {
	object, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer object.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := file.ReadFrom(object); err != nil {
		return err
	}
	return file.Close()
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// holder is the pipeline of configFile.
var holder = backup.Holder{UID: "0b5c", Cluster: "east", Namespace: "shop", Name: "clicks"}

const pointsPrefix = "sparkpipeline/shop/clicks-1"

// tree writes files, an hour old, and returns their directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, time.Now().Add(-time.Hour), files)
	return dir
}

func write(t *testing.T, dir string, at time.Time, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644), os.Chtimes(path, at, at))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// contentOf reads a directory without the record of a restore.
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == backup.RestoreRecordName {
			return err
		}
		body, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// whole is a cut of every file of a directory.
func whole(t *testing.T, dir, root string, batch int64) backup.Cut {
	t.Helper()
	d, err := backup.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	var files []backup.File
	for name := range contentOf(t, dir) {
		file, err := d.File(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	info := backup.RootInfo{Root: root, QueryID: "query-" + root, Batch: batch, Provider: "none"}
	return backup.Cut{RootInfo: info, Files: backup.FilesOf(files), Open: d.Open}
}

// seed makes a recovery point as of a time and returns its id.
func seed(t *testing.T, store *objectstoretest.Memory, owner backup.Holder, at time.Time, cuts ...backup.Cut) string {
	t.Helper()
	before := store.Now
	store.Now = func() time.Time { return at }
	defer func() { store.Now = before }()
	repo, err := backup.Open(store, backup.Options{Prefix: pointsPrefix, Owner: owner.UID, Spool: t.TempDir(), Now: store.Now})
	if err != nil {
		t.Fatal(err)
	}
	plan := func(context.Context) ([]backup.Cut, error) { return cuts, nil }
	m, err := repo.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// sample is the restorable set of a batch of a query without state.
func sample(batch int) map[string]string {
	const head = "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1795448146894,\"conf\":{}}\n"
	return map[string]string{
		"metadata":                         `{"id":"99e24cd2-c458-472a-ac36-0986b9a6cd86"}`,
		fmt.Sprintf("offsets/%d", batch-1): fmt.Sprintf("%s{\"clicks\":{\"0\":%d}}", head, batch-1),
		fmt.Sprintf("offsets/%d", batch):   fmt.Sprintf("%s{\"clicks\":{\"0\":%d}}", head, batch),
		fmt.Sprintf("commits/%d", batch):   "v1\n{\"nextBatchWatermarkMs\":0}",
	}
}

// sparkRoot unpacks a root that real Spark made to a directory.
func sparkRoot(t *testing.T, name, dir string) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "checkpoint", "testdata", "spark", name, "root.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(header.Name, "root/")
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		body, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, header.ModTime, map[string]string{name: string(body)})
	}
}

var putOptions = objectstore.PutOptions{}

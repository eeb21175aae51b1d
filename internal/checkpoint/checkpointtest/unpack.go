// SPDX-License-Identifier: Apache-2.0

// Package checkpointtest gives tests the checkpoint roots that real Spark wrote.
package checkpointtest

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"testing"
)

// Fixtures is the directory of the recorded roots; see its README.
func Fixtures() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "testdata", "spark")
}

// Unpack writes the root of a case into a new directory, with the times it had, and
// returns that directory.
func Unpack(t testing.TB, name string) string {
	t.Helper()
	file, err := os.Open(filepath.Join(Fixtures(), name, "root.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return filepath.Join(dir, "root")
		}
		if err != nil {
			t.Fatal(err)
		}
		writeEntry(t, filepath.Join(dir, filepath.FromSlash(path.Clean("/"+header.Name))), header, archive)
	}
}

func writeEntry(t testing.TB, to string, header *tar.Header, content io.Reader) {
	t.Helper()
	if header.Typeflag == tar.TypeDir {
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := io.ReadAll(content)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644), os.Chtimes(to, header.ModTime, header.ModTime))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"sparkpipeline.dev/operator/test/e2e/live"
	"sparkpipeline.dev/operator/test/e2e/world"
)

// TestShortForm is the live tier in its short form: one driver, one executor, a
// change of size, a driver killed, the stream's own count of its rows.
func TestShortForm(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("a real node needs Linux and root")
	}
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "out", "image.tar")); err != nil {
		t.Fatalf("the operator's image is missing, `make image` makes it: %v", err)
	}
	// A node's directory must have a short name: sockets lie in it.
	dir, err := os.MkdirTemp("/var/tmp", "live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Down(context.Background(), root, dir, os.Stderr); err != nil {
			t.Error(err)
		}
		if !t.Failed() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})
	s, err := live.Up(t.Context(), root, dir, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Play(t.Context()); err != nil {
		s.SayWhy(t.Context())
		t.Fatal(err)
	}
}

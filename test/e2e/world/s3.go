// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const s3Process = "s3"

// Keys of the S3 server's administrator, as package test/s3/server has them.
const (
	S3AccessKey = "root-access"
	S3SecretKey = "root-secret-0123456789"
	S3Region    = "eu-test-1"
)

// StartS3 runs the S3 server of test/s3 with these buckets, which are directories in
// Dir/s3/buckets, and answers with its address.
func (w *World) StartS3(ctx context.Context, listen string, buckets ...string) (string, error) {
	program := filepath.Join(w.Dir, "s3-server")
	// The server has a module of its own.
	build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	build.Dir, build.Stdout, build.Stderr = filepath.Join(w.Root, "test", "s3"), w.Log, w.Log
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build the S3 server: %w", err)
	}
	err := w.spawn(s3Process, nil, program, "-dir", filepath.Join(w.Dir, "s3"), "-listen", listen, "-buckets", strings.Join(buckets, ","))
	if err != nil {
		return "", err
	}
	var url string
	err = Eventually(ctx, time.Minute, "the S3 server answers", func() error {
		text, err := os.ReadFile(filepath.Join(w.Dir, "logs", s3Process+".log"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "http") {
				url = strings.TrimSpace(line)
				return nil
			}
		}
		return errors.New("it has not said its address")
	})
	return url, err
}

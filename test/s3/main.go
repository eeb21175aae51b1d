// SPDX-License-Identifier: Apache-2.0

// Command s3 serves the buckets below a directory until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"sparkpipeline.dev/operator/test/s3/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("dir", "", "directory of the server")
	listen := flag.String("listen", "127.0.0.1:0", "host and port")
	buckets := flag.String("buckets", "", "buckets to make, with commas")
	flag.Parse()
	if *dir == "" {
		return fmt.Errorf("-dir is empty; a directory is required")
	}
	for _, bucket := range strings.Split(*buckets, ",") {
		if err := os.MkdirAll(filepath.Join(*dir, "buckets", bucket), 0o755); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := server.Start(*dir, *listen)
	if err != nil {
		return err
	}
	fmt.Println(s.URL)
	<-ctx.Done()
	return s.Stop()
}

// SPDX-License-Identifier: Apache-2.0

// Command agent works on the state of one pipeline: see `agent --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sparkpipeline.dev/operator/internal/agent"
)

// version is set by the linker.
var version = "dev"

func main() {
	// A second signal ends the process at once: the first one is enough for a
	// clean end.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	env := agent.Environment{Out: os.Stdout, ErrOut: os.Stderr, Version: version}
	os.Exit(agent.Execute(ctx, env, os.Args[1:]))
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// Environment is what a process gives to the agent.
type Environment struct {
	Out, ErrOut io.Writer
	// Version that `agent version` prints.
	Version string
	// TerminationLog is written when the file exists. Empty: the kubelet's default.
	TerminationLog string
}

// Execute runs one command line and returns its exit code.
func Execute(ctx context.Context, env Environment, args []string) int {
	return newAgent(env).execute(ctx, args)
}

// NewCommand is the command line without a run, for documentation.
func NewCommand(env Environment) *cobra.Command { return newAgent(env).command() }

// agent is one run of the command line.
type agent struct {
	env Environment
	log *slog.Logger
	// open connects to a bucket.
	open func(objectstore.Options) (objectstore.Store, error)
	// listening is told the address that watch serves on.
	listening func(net.Addr)
	// snapshots changes the command snapshot; nil: nothing.
	snapshots func(*snapshotCommand)

	configFile string
	verbose    bool
	quiet      bool
	output     string

	// began tells that flags and arguments were accepted.
	began bool
	// result of the command, for the termination message.
	result any
}

func newAgent(env Environment) *agent {
	if env.TerminationLog == "" {
		env.TerminationLog = terminationLog
	}
	return &agent{env: env, log: slog.New(slog.DiscardHandler), listening: func(net.Addr) {}, open: func(o objectstore.Options) (objectstore.Store, error) {
		return objectstore.Open(o)
	}}
}

func (a *agent) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "agent",
		Short:         "Work on the state of a Structured Streaming pipeline",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.env.Out)
	root.SetErr(a.env.ErrOut)
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "file that the operator wrote for the agent; flags override it")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log what is being done")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "report no progress")
	root.AddCommand(a.commands()...)
	return root
}

// commands are the subcommands in the order of a pipeline's life.
func (a *agent) commands() []*cobra.Command {
	return []*cobra.Command{
		a.checkCommand(),
		a.backupCommand(),
		a.pointsCommand(),
		a.pruneCommand(),
		a.snapshotCommand(),
		a.restoreCommand(),
		a.rewindCommand(),
		a.drillCommand(),
		a.verifyCommand(),
		a.guardCommand(),
		a.archiveCommand(),
		a.watchCommand(),
		a.versionCommand(),
	}
}

// run wraps the work of a command: from here on an error is not one of usage.
func (a *agent) run(work func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := a.checkOutput(cmd); err != nil {
			return err
		}
		a.began = true
		a.log = a.logger()
		return work(cmd.Context(), args)
	}
}

func (a *agent) logger() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.env.ErrOut, &slog.HandlerOptions{Level: level}))
}

func (a *agent) execute(ctx context.Context, args []string) (code int) {
	name, path := "agent", "agent"
	defer func() {
		// The runtime would exit with 2, which says that damage was found.
		if cause := recover(); cause != nil {
			code = a.finish(name, fmt.Errorf("internal error: %v\n%s", cause, debug.Stack()))
		}
	}()
	root := a.command()
	root.SetArgs(args)
	executed, err := root.ExecuteContextC(ctx)
	if executed != nil {
		name, path = executed.Name(), executed.CommandPath()
	}
	if err != nil && !a.began {
		err = withCode(CodeUsage, fmt.Errorf("%w; see %s --help", err, path))
	}
	if err != nil && ctx.Err() != nil {
		err = withCode(CodeInterrupted, fmt.Errorf("%s was stopped by a signal: %w", name, err))
	}
	return a.finish(name, err)
}

// finish tells people and the kubelet how it ended.
func (a *agent) finish(name string, err error) int {
	last := Termination{Command: name, Code: CodeOf(err), Result: a.result}
	if err != nil {
		last.Error = err.Error()
		fmt.Fprintf(a.env.ErrOut, "agent: %s\n", last.Error)
	}
	if !a.began && err == nil {
		return last.Code
	}
	if err := writeTermination(a.env.TerminationLog, last); err != nil {
		a.log.Warn("The termination message was not written", "error", err)
	}
	return last.Code
}

// config reads the file that --config names; without one there is no error and
// no configuration.
func (a *agent) config() (*config.Config, error) {
	if a.configFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(a.configFile)
	if err != nil {
		return nil, withCode(CodeUsage, fmt.Errorf("read --config: %w", err))
	}
	c, err := config.Parse(text)
	if err != nil {
		return nil, withCode(CodeUsage, fmt.Errorf("%s: %w", a.configFile, err))
	}
	return c, nil
}

// usage is an error of flags or configuration.
func usage(format string, args ...any) error {
	return withCode(CodeUsage, fmt.Errorf(format, args...))
}

// join joins errors and keeps the exit code of the first.
func join(first error, more ...error) error {
	joined := errors.Join(append([]error{first}, more...)...)
	if first == nil || joined == nil {
		return joined
	}
	return withCode(CodeOf(first), joined)
}

// Package process starts, finds again and ends the long-running programs of a
// cluster. Every program has a log file and a pid file in the directory of its
// cluster, so that another process can end what this one started; a pid file
// carries the start time of its process too, so that a number which the system
// gave to somebody else is never signalled.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const poll = 20 * time.Millisecond

// Table is the set of programs that belong to one directory.
type Table struct {
	dir      string
	detached bool
	spawner  spawner
}

// New returns the table of a directory. The programs of a detached table go on
// when this process ends; those of any other die with it (on Linux), so that a
// test that is killed leaves nothing behind.
func New(dir string, detached bool) (*Table, error) {
	for _, d := range []string{"logs", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("create process directory: %w", err)
		}
	}
	return &Table{dir: dir, detached: detached}, nil
}

// Log returns the path of the log of a program.
func (t *Table) Log(name string) string { return filepath.Join(t.dir, "logs", name+".log") }

func (t *Table) pidFile(name string) string { return filepath.Join(t.dir, "run", name+".pid") }

// Start runs a program with its output appended to its log. It is an error
// when the program runs already.
func (t *Table) Start(name string, argv []string) error {
	if t.Running(name) {
		return fmt.Errorf("start %s: it runs already", name)
	}
	log, err := os.OpenFile(t.Log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.dir, log, log
	cmd.SysProcAttr = attributes(t.detached)
	if err := t.spawner.do(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	started, err := startTime(cmd.Process.Pid)
	if err == nil {
		err = os.WriteFile(t.pidFile(name), fmt.Appendf(nil, "%d %s\n", cmd.Process.Pid, started), 0o644)
	}
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill())
	}
	// Its exit is seen by its pid; the wait only reaps it.
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return fmt.Errorf("record the process of %s: %w", name, err)
	}
	return nil
}

// Running says whether the program that the pid file names is alive.
func (t *Table) Running(name string) bool { return t.PID(name) != 0 }

// PID returns the process id of a program, or 0 when it does not run.
func (t *Table) PID(name string) int {
	data, err := os.ReadFile(t.pidFile(name))
	if err != nil {
		return 0
	}
	pidText, started, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	pid, err := strconv.Atoi(pidText)
	if err != nil {
		return 0
	}
	if now, err := startTime(pid); err != nil || now != started {
		return 0
	}
	return pid
}

// Signal sends a signal to a program; one that does not run is left alone.
func (t *Table) Signal(name string, sig syscall.Signal) error {
	pid := t.PID(name)
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	return nil
}

// Stop ends a program: SIGTERM, and SIGKILL when it is still there after the
// grace period or when the context ends. It returns once the program is gone.
func (t *Table) Stop(ctx context.Context, name string, grace time.Duration) error {
	if err := t.Signal(name, syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if !t.gone(ctx, name) {
		if err := t.Signal(name, syscall.SIGKILL); err != nil {
			return err
		}
		killed, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if !t.gone(killed, name) {
			return fmt.Errorf("stop %s: process %d does not end", name, t.PID(name))
		}
	}
	if err := os.Remove(t.pidFile(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

func (t *Table) gone(ctx context.Context, name string) bool {
	for t.Running(name) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(poll):
		}
	}
	return true
}

// Tail returns the last lines of a program's log, for an error message.
func (t *Table) Tail(name string, lines int) string {
	data, err := os.ReadFile(t.Log(name))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Close lets go of what the table holds in this process. Programs of a table
// that is not detached end with it.
func (t *Table) Close() { t.spawner.close() }

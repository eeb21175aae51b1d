// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
)

// clock is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestALogHearsOfLongRunsEveryFewSeconds(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	p := &progress{log: slog.New(slog.NewTextHandler(&out, nil)), now: c.now}
	state := backup.Progress{Phase: backup.PhaseRestore, TotalFiles: 100, TotalBytes: 100 << 20, Root: "orders"}
	for i := range 12 { // a report a second
		state.Files, state.Bytes = int64(i), int64(i)<<20
		p.report(state)
		c.at = c.at.Add(time.Second)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("in 11 seconds it said %d lines:\n%s", len(lines), out.String())
	}
	want := "level=INFO msg=Progress phase=restore files=5 bytes=5242880 bytesPerSecond=1048576 totalFiles=100 totalBytes=104857600 left=1m35s root=orders"
	if !strings.HasSuffix(lines[0], want) {
		t.Errorf("it said %q, want %q", lines[0], want)
	}
	p.done()
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a log got control characters")
	}
}

func TestATerminalGetsABar(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	p := &progress{terminal: &out, now: c.now}
	p.report(backup.Progress{Phase: backup.PhaseCopy, Files: 3, Bytes: 2048})
	c.at = c.at.Add(2 * time.Second)
	p.report(backup.Progress{Phase: backup.PhaseRestore, TotalFiles: 10, TotalBytes: 10 << 20})
	c.at = c.at.Add(2 * time.Second)
	p.report(backup.Progress{Phase: backup.PhaseRestore, Files: 5, TotalFiles: 10, Bytes: 4 << 20, TotalBytes: 10 << 20})
	p.done()
	p.done()
	want := "\r\x1b[Kcopy  3 files  2.0 KiB  0 B/s" +
		"\r\x1b[Krestore  [....................]  0/10 files  0 B/10 MiB  0 B/s" +
		"\r\x1b[Krestore  [##########..........]  5/10 files  4.0 MiB/10 MiB  2.0 MiB/s  3s left" + "\r\x1b[K"
	if out.String() != want {
		t.Errorf("drew %q, want %q", out.String(), want)
	}
}

func TestQuietReportsNothing(t *testing.T) {
	a := newAgent(Environment{ErrOut: &bytes.Buffer{}})
	a.quiet = true
	p := a.newProgress()
	p.report(backup.Progress{Files: 1})
	p.done()
	if p != nil {
		t.Error("there is somebody to report to")
	}
}

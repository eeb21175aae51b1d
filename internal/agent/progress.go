// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/term"

	"sparkpipeline.dev/operator/internal/backup"
)

// progressEvery is how often a log says how far a run is; what is shorter says
// nothing.
const progressEvery = 5 * time.Second

// progress tells people how far a run is: a line that is drawn again and again on
// a terminal, a log line now and then elsewhere. It is called by one goroutine at
// a time.
type progress struct {
	log *slog.Logger
	// terminal is nil when standard error is something else.
	terminal io.Writer
	now      func() time.Time

	phase backup.Phase
	// begin of the phase, and when it was last spoken of.
	begin, said time.Time
	drawn       bool
}

// newProgress returns nil when nobody wants to hear.
func (a *agent) newProgress() *progress {
	if a.quiet {
		return nil
	}
	p := &progress{log: slog.New(slog.NewTextHandler(a.env.ErrOut, nil)), now: time.Now}
	if file, ok := a.env.ErrOut.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal = file
	}
	return p
}

// report is a backup.Options.Progress.
func (p *progress) report(state backup.Progress) {
	if p == nil {
		return
	}
	now := p.now()
	if state.Phase != p.phase {
		p.phase, p.begin, p.said = state.Phase, now, now
	}
	if p.terminal != nil {
		fmt.Fprint(p.terminal, "\r\x1b[K", line(state, now.Sub(p.begin)))
		p.drawn = true
		return
	}
	if now.Sub(p.said) < progressEvery {
		return
	}
	p.said = now
	p.log.Info("Progress", attributes(state, now.Sub(p.begin))...)
}

// waits tells that somebody else works.
func (p *progress) waits(phase backup.Phase, elapsed time.Duration) {
	if p == nil {
		return
	}
	now := p.now()
	if phase != p.phase {
		p.phase, p.begin, p.said = phase, now, now
	}
	if p.terminal != nil {
		fmt.Fprintf(p.terminal, "\r\x1b[K%s  waiting for %s", phase, elapsed.Round(time.Second))
		p.drawn = true
		return
	}
	if now.Sub(p.said) >= progressEvery {
		p.said = now
		p.log.Info("Waiting", "phase", phase, "for", elapsed.Round(time.Second))
	}
}

// done takes the line away.
func (p *progress) done() {
	if p != nil && p.drawn {
		fmt.Fprint(p.terminal, "\r\x1b[K")
		p.drawn = false
	}
}

// rate is in bytes a second; left is how long the rest takes at that rate, and 0
// when it is unknown.
func rate(state backup.Progress, elapsed time.Duration) (perSecond int64, left time.Duration) {
	if elapsed <= 0 {
		return 0, 0
	}
	perSecond = int64(float64(state.Bytes) / elapsed.Seconds())
	if rest := state.TotalBytes - state.Bytes; rest > 0 && perSecond > 0 {
		left = time.Duration(float64(rest) / float64(perSecond) * float64(time.Second)).Round(time.Second)
	}
	return perSecond, left
}

func attributes(state backup.Progress, elapsed time.Duration) []any {
	perSecond, left := rate(state, elapsed)
	out := []any{"phase", state.Phase, "files", state.Files, "bytes", state.Bytes, "bytesPerSecond", perSecond}
	if state.TotalFiles > 0 {
		out = append(out, "totalFiles", state.TotalFiles, "totalBytes", state.TotalBytes)
	}
	if left > 0 {
		out = append(out, "left", left)
	}
	if state.Root != "" {
		out = append(out, "root", state.Root)
	}
	if state.Attempt > 1 {
		out = append(out, "attempt", state.Attempt)
	}
	return out
}

const barWidth = 20

// line is what a terminal shows.
func line(state backup.Progress, elapsed time.Duration) string {
	perSecond, left := rate(state, elapsed)
	if state.TotalFiles == 0 {
		return fmt.Sprintf("%s  %d files  %s  %s/s", state.Phase, state.Files, size(state.Bytes), size(perSecond))
	}
	bar := make([]byte, barWidth)
	full := int(barWidth * min(state.Files, state.TotalFiles) / state.TotalFiles)
	for i := range bar {
		bar[i] = '.'
		if i < full {
			bar[i] = '#'
		}
	}
	text := fmt.Sprintf("%s  [%s]  %d/%d files  %s/%s  %s/s", state.Phase, bar, state.Files, state.TotalFiles,
		size(state.Bytes), size(state.TotalBytes), size(perSecond))
	if left > 0 {
		text += fmt.Sprintf("  %s left", left)
	}
	return text
}

// SPDX-License-Identifier: Apache-2.0

// Package guard decides whether a driver may start on a checkpoint. It runs before
// every submission, whoever made it: kubeflow's own retries come within a fraction
// of a second and outside of the operator's control, so this, and not their timing,
// is what keeps a stream from starting on nothing, on an older state, on a damaged
// one, or beside another writer.
package guard

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/checkpoint"
)

// Reason of a refusal.
type Reason string

// Reasons, from the cheapest to find to the dearest. Each has an exit code of its
// own in the agent.
const (
	// NotMounted: the place of the checkpoint is not a volume of its own, so
	// Spark would write into the container and lose it.
	NotMounted Reason = "NotMounted"
	// OtherOwner: the checkpoint records another pipeline, or a higher epoch.
	OtherOwner Reason = "OtherOwner"
	// Unfinished: a restore or a rewind has begun and is not complete.
	Unfinished Reason = "Unfinished"
	// Locked: somebody works on the checkpoint.
	Locked Reason = "Locked"
	// Empty: a root that has held committed batches holds none.
	Empty Reason = "Empty"
	// Older: the newest committed batch is older than one that was seen.
	Older Reason = "Older"
	// Damaged: the levels 1 to 3 of verification find errors.
	Damaged Reason = "Damaged"
	// OtherRunning: pods of another submission are alive.
	OtherRunning Reason = "OtherRunning"
)

// Refusal says why a driver must not start.
type Refusal struct {
	Reason  Reason
	Message string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Message) }

func refuse(reason Reason, format string, args ...any) error {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// Place is where the roots of a pipeline are.
type Place interface {
	checkpoint.Source
	// Write replaces a small file as a whole.
	Write(ctx context.Context, name string, data []byte) error
	// Sub is a root below the place; the path "." is the place itself. Release
	// it when it is done with.
	Sub(path string) (src checkpoint.Source, release func(), err error)
}

// Guard is one run.
type Guard struct {
	Orders config.Orders
	// Queries are the paths of the declared queries below the place; empty: roots
	// are discovered.
	Queries []string
	Place   Place
	// Mounted says whether the place is a volume of its own; nil: it need not be.
	Mounted func() (bool, error)
	// Others lists the live pods of other submissions of the pipeline; nil: there
	// can be none.
	Others func(ctx context.Context) ([]string, error)
	// Wait for such pods at most so long, looking again after every Poll.
	Wait, Poll time.Duration
	Now        func() time.Time
	// Sleep waits, unless the context ends first.
	Sleep func(ctx context.Context, d time.Duration) error
	// Report is told what is waited for.
	Report func(message string)
}

// Finding is one root as it was found.
type Finding struct {
	Path string `json:"path"`
	// LastOffset and LastCommit are null when there is none.
	LastOffset *int64 `json:"lastOffset"`
	LastCommit *int64 `json:"lastCommit"`
	// Rewound is the rewind by which the root came to where it goes on from.
	Rewound *Rewound `json:"-"`
	// Findings are the first errors, if any.
	Findings []checkpoint.Finding `json:"findings,omitempty"`
}

// Evidence is what the guard saw, for the operator: with a refusal it is what the
// next step of recovery is decided on.
type Evidence struct {
	Reason Reason    `json:"reason,omitempty"`
	Roots  []Finding `json:"roots"`
	// WaitedSeconds for pods of another submission.
	WaitedSeconds int64 `json:"waitedSeconds,omitempty"`
}

// Run judges the checkpoint. The error is a *Refusal, or another one when the
// checkpoint could not be judged. What is in the evidence is true in both cases.
func (g *Guard) Run(ctx context.Context) (*Evidence, error) {
	e := &Evidence{Roots: []Finding{}}
	err := g.run(ctx, e)
	if r, ok := errors.AsType[*Refusal](err); ok {
		e.Reason = r.Reason
	}
	return e, err
}

func (g *Guard) run(ctx context.Context, e *Evidence) error {
	if g.Mounted != nil {
		ok, err := g.Mounted()
		if err != nil {
			return fmt.Errorf("see whether the checkpoint is mounted: %w", err)
		}
		if !ok {
			return refuse(NotMounted, "the place of the checkpoint is not a volume of its own; what Spark wrote there would go with the pod")
		}
	}
	owner, err := g.owner(ctx)
	if err != nil {
		return err
	}
	if err := g.marks(ctx, "."); err != nil {
		return err
	}
	if err := g.roots(ctx, g.remembered(owner), e); err != nil {
		return err
	}
	if err := g.alone(ctx, e); err != nil {
		return err
	}
	return g.own(ctx, owner, e)
}

// roots judges every root that is declared, found or remembered.
func (g *Guard) roots(ctx context.Context, memory *memory, e *Evidence) error {
	paths := slices.Clone(g.Queries)
	if len(paths) == 0 {
		found, err := checkpoint.FindRoots(ctx, g.Place)
		if err != nil {
			return fmt.Errorf("look for checkpoint roots: %w", err)
		}
		paths = found
	}
	paths = append(paths, memory.paths()...)
	slices.Sort(paths)
	var first error
	for _, p := range slices.Compact(paths) {
		// All are looked at: the evidence is for a decision about each of them.
		err := g.root(ctx, p, memory, e)
		if _, refused := errors.AsType[*Refusal](err); err != nil && !refused {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (g *Guard) root(ctx context.Context, p string, memory *memory, e *Evidence) error {
	if path.Clean(p) != p || path.IsAbs(p) || strings.HasPrefix(p, "..") {
		return fmt.Errorf("root %q: allowed is a path below the checkpoint's place", p)
	}
	rewound, err := g.rewound(ctx, p)
	if err != nil {
		return err
	}
	want, seen := memory.least(p, rewound)
	src, release, err := g.Place.Sub(p)
	var report *checkpoint.Report
	if err == nil {
		defer release()
		if p != "." {
			if err := g.marks(ctx, p); err != nil {
				return err
			}
		}
		report, err = checkpoint.Verify(ctx, src, checkpoint.Options{Level: checkpoint.LevelLogs})
	}
	if isAbsent(err) {
		e.Roots = append(e.Roots, Finding{Path: p})
		if seen {
			return refuse(Empty, "root %s is empty, though batch %d was committed in it; restore it, or accept the loss with spec.restart.acceptStateReset", p, want)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("judge root %s: %w", p, err)
	}
	e.Roots = append(e.Roots, finding(p, report, rewound))
	return judge(p, report, want, seen)
}

const mostFindings = 3

func finding(p string, r *checkpoint.Report, rewound *Rewound) Finding {
	f := Finding{Path: p, Rewound: rewound, LastOffset: r.LastOffset, LastCommit: r.LastCommit}
	for _, found := range r.Findings {
		if found.Severity == checkpoint.SeverityError && len(f.Findings) < mostFindings {
			f.Findings = append(f.Findings, found)
		}
	}
	return f
}

func judge(p string, r *checkpoint.Report, want int64, seen bool) error {
	worst, damaged := r.Worst()
	switch {
	case seen && r.LastOffset == nil && r.LastCommit == nil:
		return refuse(Empty, "root %s holds no batch, though batch %d was committed in it; restore it, or accept the loss with spec.restart.acceptStateReset", p, want)
	case damaged:
		return refuse(Damaged, "root %s: %s %s", p, worst.Path, worst.Message)
	case seen && (r.LastCommit == nil || *r.LastCommit < want):
		return refuse(Older, "root %s is at batch %s, though batch %d was committed in it: it is an older copy", p, text(r.LastCommit), want)
	}
	return nil
}

func text(n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

// alone waits until no pod of another submission is alive.
func (g *Guard) alone(ctx context.Context, e *Evidence) error {
	if g.Others == nil {
		return nil
	}
	begin := g.Now()
	for {
		pods, err := g.Others(ctx)
		if err != nil {
			return fmt.Errorf("look for pods of other submissions: %w", err)
		}
		waited := g.Now().Sub(begin)
		e.WaitedSeconds = int64(waited / time.Second)
		if len(pods) == 0 {
			return nil
		}
		if waited >= g.Wait {
			return refuse(OtherRunning, "these pods of another submission are alive after %s: %s", g.Wait, strings.Join(pods, ", "))
		}
		if g.Report != nil {
			g.Report("waits until these pods of another submission are gone: " + strings.Join(pods, ", "))
		}
		if err := g.Sleep(ctx, g.Poll); err != nil {
			return fmt.Errorf("wait for pods of other submissions: %w", err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"slices"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
)

// plan is what takes the root back.
type plan struct {
	batch   int64
	surplus []string
	// selection is the restorable set of the batch.
	selection *checkpoint.Selection
}

// plan judges the root as it would be, before anything is touched; nil: it is in order
// as it is, and nothing was asked for but that.
func (w *work) plan(ctx context.Context) (*plan, error) {
	root, err := checkpoint.Open(ctx, w.src)
	if err != nil {
		return nil, fmt.Errorf("read the root: %w", err)
	}
	if err := w.counted(root); err != nil {
		return nil, err
	}
	if w.Batch == Newest {
		return w.newest(ctx, root)
	}
	w.result.Batch = w.Batch
	return w.try(ctx, root, w.Batch)
}

// counted finds the newest batch that was ever committed in the root, and refuses a
// root that lacks one which the place remembers.
func (w *work) counted(root *checkpoint.Root) error {
	from := int64(-1)
	if n, any := root.LastCommit(); any {
		from = n
	}
	if n, any := root.LastOffset(); any {
		from = max(from, n-1) // It was planned after the one before was committed.
	}
	if data, err := w.root.read(guard.RewoundName); err == nil {
		w.previous = guard.ReadRewound(data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", guard.RewoundName, err)
	}
	if w.place != nil && w.record == nil {
		if err := w.place.older(from, w.previous); err != nil {
			return err
		}
	}
	if w.previous != nil {
		from = max(from, w.previous.From)
	}
	w.result.From = from
	return nil
}

// mostPassed bounds what is told of batches that were passed over.
const mostPassed = 10

// newest chooses the newest batch that the root can be gone on with.
func (w *work) newest(ctx context.Context, root *checkpoint.Root) (*plan, error) {
	report, err := checkpoint.Verify(ctx, w.src, w.options(""))
	if err != nil {
		return nil, fmt.Errorf("verify the root: %w", err)
	}
	first, damaged := report.Worst()
	for _, n := range slices.Backward(root.Committed()) {
		reason := "its restorable set is not there, or holds a file that is damaged"
		if damaged {
			reason += "; first of all: " + first.Path + " " + first.Message
		}
		if slices.Contains(report.RestorableBatches, n) {
			p, err := w.try(ctx, root, n)
			if err == nil {
				w.result.Batch = n
				if !damaged && w.result.InPlace && w.record == nil {
					w.result.Unchanged = true
					return nil, nil
				}
				return p, nil
			}
			if !errors.Is(err, ErrNotRestorable) {
				return nil, err
			}
			reason = err.Error()
			damaged = true
			first = checkpoint.Finding{Path: "batch " + fmt.Sprint(n), Message: "was passed over"}
		}
		if len(w.result.Passed) < mostPassed {
			w.result.Passed = append(w.result.Passed, Passed{n, reason})
		}
	}
	if len(w.result.Passed) == 0 {
		return nil, fmt.Errorf("%w: none is committed", ErrNotRestorable)
	}
	return nil, fmt.Errorf("%w: no committed batch can be gone on with; of batch %d: %s", ErrNotRestorable, w.result.Passed[0].Batch, w.result.Passed[0].Reason)
}

// try judges the root as it would be after a rewind to a batch.
func (w *work) try(ctx context.Context, root *checkpoint.Root, n int64) (*plan, error) {
	p := &plan{batch: n, surplus: root.Surplus(n)}
	left := checkpoint.Without(w.src, p.surplus, n)
	if !slices.Contains(root.Committed(), n) {
		return nil, fmt.Errorf("%w: batch %d is not committed in it; committed are %s", ErrNotRestorable, n, span(root.Committed()))
	}
	w.result.Batch = n
	if err := w.judge(ctx, left, w.Level, ""); err != nil {
		return nil, err
	}
	then, err := checkpoint.Open(ctx, left)
	if err == nil {
		p.selection, err = then.Select(ctx, n)
	}
	if errors.Is(err, checkpoint.ErrNothingRestorable) {
		return nil, fmt.Errorf("%w: %w", ErrNotRestorable, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", backup.ErrOvertaken, err)
	}
	if err != nil {
		return nil, fmt.Errorf("choose the files of batch %d: %w", n, err)
	}
	if doubtful := p.selection.SecondWriter; len(doubtful) > 0 && !w.TimesLost {
		return nil, fmt.Errorf("%w: batch %d: %s was written after the commit of its batch, so a second driver may have overwritten it and the state may be wrong; "+
			"choose a batch before it, or, if the root is a copy that did not keep the times of files, say so with --times-lost", ErrNotRestorable, n, doubtful[0])
	}
	return p, nil
}

// judge sees that a root is in order and at the batch of the result.
func (w *work) judge(ctx context.Context, src checkpoint.Source, level int, place string) error {
	o := w.options(place)
	o.Level = level
	report, err := checkpoint.Verify(ctx, src, o)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	n := w.result.Batch
	if worst, damaged := report.Worst(); damaged {
		return fmt.Errorf("%w: batch %d: %s %s (%s)", ErrNotRestorable, n, worst.Path, worst.Message, worst.Kind)
	}
	if report.LastCommit == nil || *report.LastCommit != n || report.InFlight || !slices.Contains(report.RestorableBatches, n) {
		return fmt.Errorf("%w: batch %d would not be the newest, or would not be whole", ErrNotRestorable, n)
	}
	return nil
}

func (w *work) options(place string) checkpoint.Options {
	return checkpoint.Options{Level: w.Level, Place: place, Progress: func(files int, bytes int64) {
		w.report(Progress{Phase: PhaseVerify, Files: int64(files), Bytes: bytes})
	}}
}

func (w *work) report(p Progress) {
	if w.Progress != nil {
		w.Progress(p)
	}
}

// span writes ascending numbers briefly.
func span(numbers []int64) string {
	switch len(numbers) {
	case 0:
		return "none"
	case 1:
		return fmt.Sprint(numbers[0])
	}
	return fmt.Sprintf("%d to %d", numbers[0], numbers[len(numbers)-1])
}

// state of a root, by which two looks are compared.
type state struct {
	digest uint64
	// newest file and its time.
	newest string
	at     time.Time
}

// look walks the root. What is neither a file nor a directory would stay where it is,
// though Spark follows links.
func (w *work) look(ctx context.Context) (state, error) {
	var s state
	sum := fnv.New64a()
	err := fs.WalkDir(w.root.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) || err != nil {
			return gone(err)
		}
		if strings.HasPrefix(name, ownPrefix) || name == "lost+found" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			fmt.Fprintf(sum, "%s\x00", name)
			return nil
		}
		if _, ours := order[part(name)]; !d.Type().IsRegular() && ours {
			return fmt.Errorf("%w: %s is a link or a special file, and Spark writes none; remove it", ErrNotRestorable, name)
		}
		info, err := d.Info()
		if err != nil {
			return gone(err)
		}
		fmt.Fprintf(sum, "%s\x00%d %d\x00", name, info.Size(), info.ModTime().UnixNano())
		if info.ModTime().After(s.at) {
			s.newest, s.at = name, info.ModTime()
		}
		return nil
	})
	s.digest = sum.Sum64()
	if err != nil {
		return s, fmt.Errorf("look at the root: %w", err)
	}
	return s, nil
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// settled sees that nothing was written since the first look.
func (w *work) settled(ctx context.Context, before state) error {
	if err := w.Sleep(ctx, w.Settle); err != nil {
		return fmt.Errorf("watch whether the root holds still: %w", err)
	}
	after, err := w.look(ctx)
	if err != nil {
		return err
	}
	if before.digest != after.digest {
		return fmt.Errorf("%w: something changed in it within %s, and its newest file is %s (%s): a driver or an executor is alive", ErrNotQuiet, w.Settle, after.newest, after.at.UTC().Format(time.RFC3339))
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"time"
)

// TriggerVerdict compares the trigger interval that is measured with the one that
// the spec declares. Only the application can set it.
type TriggerVerdict string

// Verdicts.
const (
	// TriggerUnknown: too few batches were seen, or none is declared.
	TriggerUnknown TriggerVerdict = "Unknown"
	// TriggerAsDeclared: within a factor of two.
	TriggerAsDeclared TriggerVerdict = "AsDeclared"
	// TriggerFaster: batches begin more than twice as often. A trigger is a lower
	// bound, so the application uses another one.
	TriggerFaster TriggerVerdict = "Faster"
	// TriggerSlower: batches begin less than half as often. The input is idle, or
	// batches take longer than the interval, or the application uses another one.
	TriggerSlower TriggerVerdict = "Slower"
)

const (
	// mostSamples are kept; at a trigger of 10 s the last five minutes.
	mostSamples = 32
	// fewestSamples are needed for a verdict.
	fewestSamples = 5
)

// pulse measures how often batches begin and how long they take, from the times of
// log entries.
type pulse struct {
	last Batch
	any  bool
	// begun are the newest entries of offsets, whose commits may come yet.
	begun []Batch
	gaps  []time.Duration
	took  []time.Duration
	// committed is the newest batch whose duration was taken.
	committed    int64
	anyCommitted bool
}

// begins takes the newest entries of offsets, oldest first. With asynchronous
// progress tracking numbers are left out; the time between two entries is that of
// all batches between them.
func (p *pulse) begins(offsets []Batch) {
	for _, b := range offsets {
		if p.any && b.Number <= p.last.Number {
			continue
		}
		if p.any && b.Time.After(p.last.Time) {
			p.gaps = keep(p.gaps, b.Time.Sub(p.last.Time)/time.Duration(b.Number-p.last.Number))
		}
		p.last, p.any = b, true
		p.begun = keep(p.begun, b)
	}
}

// ends takes the newest entries of commits, oldest first.
func (p *pulse) ends(commits []Batch) {
	for _, c := range commits {
		if p.anyCommitted && c.Number <= p.committed {
			continue
		}
		p.committed, p.anyCommitted = c.Number, true
		i := slices.IndexFunc(p.begun, func(b Batch) bool { return b.Number == c.Number })
		if i >= 0 && !c.Time.Before(p.begun[i].Time) {
			p.took = keep(p.took, c.Time.Sub(p.begun[i].Time))
		}
	}
}

func keep[T any](samples []T, sample T) []T {
	if len(samples) == mostSamples {
		samples = samples[1:]
	}
	return append(samples, sample)
}

// median of the samples: one long pause, such as a restart, does not move it. Zero
// when there are too few.
func median(samples []time.Duration) time.Duration {
	if len(samples) < fewestSamples {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[len(sorted)/2]
}

func (p *pulse) interval() time.Duration { return median(p.gaps) }

func (p *pulse) duration() time.Duration { return median(p.took) }

func (p *pulse) verdict(declared time.Duration) TriggerVerdict {
	measured := p.interval()
	switch {
	case declared <= 0 || measured <= 0:
		return TriggerUnknown
	case measured < declared/2:
		return TriggerFaster
	case measured > 2*declared:
		return TriggerSlower
	}
	return TriggerAsDeclared
}

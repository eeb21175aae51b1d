// SPDX-License-Identifier: Apache-2.0

package watch

import "time"

// ProgressState says how the queries of a pipeline get on.
type ProgressState string

// States of progress, the gravest first.
const (
	// ProgressStalled: a query stands still although it has something to do.
	ProgressStalled ProgressState = "Stalled"
	// ProgressAdvancing: a batch is under way, or was committed not long ago.
	ProgressAdvancing ProgressState = "Advancing"
	// ProgressIdle: batches were committed, none lately, and nothing says that there
	// is anything to do.
	ProgressIdle ProgressState = "Idle"
	// ProgressUnknown: nothing was seen that could be judged.
	ProgressUnknown ProgressState = "Unknown"
)

// Progress of a pipeline.
type Progress struct {
	State ProgressState `json:"state"`
	// Since when it stands still or is idle; absent in the other states.
	Since time.Time `json:"since,omitzero"`
}

// lately is how many intervals of its trigger ago a batch of an advancing query was
// committed at the most, and recently the shortest time that this may be.
const (
	lately   = 3
	recently = time.Minute
)

// Progress is that of the query that gets on worst; one that waits for input holds
// none back that has some.
func (w *Watch) Progress(now time.Time) Progress {
	worst := Progress{State: ProgressUnknown}
	for _, q := range w.queries {
		if p := q.Progress(now); p.graver(worst) {
			worst = p
		}
	}
	return worst
}

// graver says that p is to be shown rather than other.
func (p Progress) graver(other Progress) bool {
	rank := map[ProgressState]int{ProgressUnknown: 0, ProgressIdle: 1, ProgressAdvancing: 2, ProgressStalled: 3}
	if rank[p.State] != rank[other.State] {
		return rank[p.State] > rank[other.State]
	}
	if p.State == ProgressIdle {
		return p.Since.After(other.Since)
	}
	return p.Since.Before(other.Since)
}

// Progress of the query.
func (q *Query) Progress(now time.Time) Progress {
	if q.abandoned || q.absent || q.lookedAt.IsZero() {
		return Progress{State: ProgressUnknown}
	}
	since, inFlight := q.inFlight()
	stalled := false
	q.progressProblems(now, func(r Reason, _ string, _ ...any) {
		stalled = stalled || r == ReasonStalled || r == ReasonBehind
	})
	switch {
	case stalled && inFlight:
		return Progress{State: ProgressStalled, Since: since.UTC()}
	case stalled:
		return Progress{State: ProgressStalled, Since: q.progress.UTC()}
	case inFlight:
		return Progress{State: ProgressAdvancing}
	case !q.anyCommit:
		return Progress{State: ProgressUnknown}
	case age(q.commit.Time, now) <= max(lately*max(q.declared.Trigger, q.pulse.interval()), recently):
		return Progress{State: ProgressAdvancing}
	}
	return Progress{State: ProgressIdle, Since: q.commit.Time.UTC()}
}

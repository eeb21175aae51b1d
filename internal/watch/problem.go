// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"time"
)

// Reason says why a query does not count as healthy.
type Reason string

// Reasons, the gravest first.
const (
	ReasonSecondWriter Reason = "SecondWriter"
	ReasonDamaged      Reason = "Damaged"
	ReasonReplaced     Reason = "Replaced"
	ReasonOlder        Reason = "Older"
	// ReasonUnreadable: the checkpoint could not be looked at for a while.
	ReasonUnreadable Reason = "Unreadable"
	// ReasonWorking: a command of the agent works on the root.
	ReasonWorking Reason = "Working"
	// ReasonStalled: a batch is under way for too long.
	ReasonStalled Reason = "Stalled"
	// ReasonBehind: there is input, and no batch begins.
	ReasonBehind Reason = "Behind"
	// ReasonNothingCommitted: the query has not finished its first batch.
	ReasonNothingCommitted Reason = "NothingCommitted"
	// ReasonNotVerified: no verification can judge the root.
	ReasonNotVerified Reason = "NotVerified"
	// ReasonStarting: the first look or the first verification has not ended yet.
	ReasonStarting Reason = "Starting"
	// ReasonOtherOwner: the checkpoint belongs to another pipeline. It stands in
	// the problems of the pipeline, not in those of a query.
	ReasonOtherOwner Reason = "OtherOwner"
	// ReasonNoQuery: there is no query root to watch. Of the pipeline too.
	ReasonNoQuery Reason = "NoQuery"
)

// Reasons lists all of them, for metrics.
func Reasons() []Reason {
	return []Reason{ReasonSecondWriter, ReasonDamaged, ReasonReplaced, ReasonOlder, ReasonUnreadable, ReasonWorking,
		ReasonStalled, ReasonBehind, ReasonNothingCommitted, ReasonNotVerified, ReasonStarting, ReasonOtherOwner, ReasonNoQuery}
}

// Problem is one reason why the pipeline does not count as healthy.
type Problem struct {
	// Query is empty when the problem is the pipeline's.
	Query   string `json:"query,omitempty"`
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
}

// patience is how long looks may fail before they count, in the slowest interval.
const patience = 3

// problems of the query, the gravest first.
func (q *Query) problems(now time.Time, p Pace) []Problem {
	if q.abandoned {
		return nil
	}
	var out []Problem
	add := func(r Reason, format string, args ...any) {
		out = append(out, Problem{Query: q.declared.Name, Reason: r, Message: fmt.Sprintf(format, args...)})
	}
	if t := q.judged.traces; t != nil && t.Present > 0 {
		add(ReasonSecondWriter, "%s %s", t.Path, t.Message)
	}
	if errs := q.judged.errors(); len(errs) > 0 {
		add(ReasonDamaged, "%s %s", errs[0].Path, errs[0].Message)
	}
	if c := q.place.change; c != nil && !c.Expected {
		add(ReasonReplaced, "%s", c.Message)
	}
	if why, older := q.place.older(q.commit, q.anyCommit); older && !q.lookedAt.IsZero() {
		add(ReasonOlder, "%s", why)
	}
	if reason, why := q.blind(now, p); reason != "" {
		add(reason, "%s", why)
	}
	if q.working != "" {
		add(ReasonWorking, "%s is there: a command of the agent works on the checkpoint", q.working)
	}
	q.progressProblems(now, add)
	switch j := &q.judged; {
	case !q.anyOffset && !q.anyCommit || !j.last.At.IsZero():
		// A root without a batch has nothing to verify.
	case j.failure != "":
		add(ReasonNotVerified, "%s", j.failure)
	default:
		add(ReasonStarting, "the first verification has not ended yet")
	}
	return out
}

func (q *Query) progressProblems(now time.Time, add func(Reason, string, ...any)) {
	limit := q.declared.StallAfter
	since, inFlight := q.inFlight()
	switch {
	case q.lookedAt.IsZero():
	case inFlight && limit > 0 && age(since, now) > limit:
		add(ReasonStalled, "batch %d is under way for %s, longer than %s", q.offset.Number, quiet(age(since, now)), limit)
	case !q.anyCommit:
		add(ReasonNothingCommitted, "no batch is committed yet")
	case !inFlight && q.lag != nil && q.lag.Error == "" && q.lag.Records > 0 && limit > 0 && age(q.progress, now) > max(limit, 3*q.declared.Trigger):
		add(ReasonBehind, "%d records of Kafka wait, and no batch has begun for %s", q.lag.Records, quiet(age(q.progress, now)))
	}
}

// blind says that the root has not been seen for a while.
func (q *Query) blind(now time.Time, p Pace) (Reason, string) {
	since, never := q.lookedAt, q.lookedAt.IsZero()
	if never {
		since = q.declared.Since
	}
	switch {
	case never && q.failure != "":
		return ReasonUnreadable, q.failure
	case age(since, now) <= patience*p.Slowest && never:
		return ReasonStarting, "the root was not looked at yet"
	case age(since, now) <= patience*p.Slowest:
		return "", ""
	case q.failure != "":
		return ReasonUnreadable, fmt.Sprintf("not seen for %s: %s", quiet(age(since, now)), q.failure)
	}
	return ReasonUnreadable, fmt.Sprintf("not seen for %s: the file system does not answer", quiet(age(since, now)))
}

// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// Verification is one judgement on a root.
type Verification struct {
	// At is when it began.
	At   time.Time
	Took time.Duration
	// Level up to which it judged.
	Level int
	// Files and Bytes that were listed, temporary ones included.
	Files, Bytes int64
}

// judgement is what verifications found.
type judgement struct {
	// last of any level, and deep the last one that looked at state.
	last, deep       Verification
	report, deepened *checkpoint.Report
	failedAt         time.Time
	failure          string
	traces           *Traces
}

// Traces of a second writer: changes of state that are younger than the commit of
// their batch. No driver writes state after the commit, so another one did; or the
// root is a copy that did not keep times.
type Traces struct {
	// Present is how many are there now. A trace goes with its file, by retention.
	Present int `json:"present"`
	// FirstSeen and LastSeen are the times of the first and the last verification
	// that found one.
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	// Path and Message of one of them.
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (j *judgement) verified(v Verification, report *checkpoint.Report) {
	j.last, j.report, j.failure = v, report, ""
	if v.Level < checkpoint.LevelStructure {
		return
	}
	j.deep, j.deepened = v, report
	j.trace(v.At, report)
}

func (j *judgement) trace(at time.Time, report *checkpoint.Report) {
	if j.traces != nil {
		j.traces.Present = 0
	}
	for _, f := range report.Findings {
		if f.Kind != checkpoint.KindSecondWriter {
			continue
		}
		if j.traces == nil {
			j.traces = &Traces{FirstSeen: at}
		}
		j.traces.Present++
		j.traces.LastSeen, j.traces.Path, j.traces.Message = at, f.Path, f.Message
	}
}

// errors are the findings that make the root unhealthy: those of the last
// verification, and of the last deep one what the levels of a shallow one miss.
func (j *judgement) errors() []checkpoint.Finding {
	var out []checkpoint.Finding
	take := func(report *checkpoint.Report, above int) {
		if report == nil {
			return
		}
		for _, f := range report.Findings {
			if f.Severity == checkpoint.SeverityError && f.Level > above {
				out = append(out, f)
			}
		}
	}
	take(j.report, 0)
	if j.last.Level < j.deep.Level {
		take(j.deepened, j.last.Level)
	}
	return out
}

// Pace says how often things are looked at.
type Pace struct {
	// Fastest and Slowest bound the time between two cheap looks.
	Fastest, Slowest time.Duration
	// Shallow and Deep are the least times between two verifications up to level 3,
	// and deeper.
	Shallow, Deep time.Duration
}

// share is the part of the time that verifications of a root may take: where a
// listing takes long, on a shared file system, they are rarer.
const share = 20

// NextLook is how long to wait until the next cheap look: half the interval of the
// trigger, and longer the longer nothing has happened.
func (q *Query) NextLook(now time.Time, p Pace) time.Duration {
	interval := q.pulse.interval()
	if interval == 0 {
		interval = q.declared.Trigger
	}
	wait := interval / 2
	if since := age(q.progress, now); !q.progress.IsZero() && since > 10*interval {
		wait = max(wait, since/10)
	}
	return min(max(wait, p.Fastest), p.Slowest)
}

// NextVerification says when to verify next, and whether deeply. The first one is
// due at once and deep: it finds the traces that are already there.
func (q *Query) NextVerification(p Pace) (at time.Time, deep bool) {
	j := &q.judged
	if j.last.At.IsZero() {
		if j.failedAt.IsZero() {
			return time.Time{}, true
		}
		return j.failedAt.Add(p.Shallow), true
	}
	shallowAt := j.last.At.Add(max(p.Shallow, share*j.last.Took))
	if !j.failedAt.IsZero() && j.failedAt.After(j.last.At) {
		shallowAt = j.failedAt.Add(p.Shallow)
	}
	deepAt := j.deep.At.Add(max(p.Deep, share*j.deep.Took))
	if !shallowAt.Before(deepAt) {
		return shallowAt, true
	}
	return shallowAt, false
}

// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// FormatVersion of Status. Fields may be added to it; a change of one raises it.
const FormatVersion = 1

// Status of a pipeline as it is seen from outside: the body of /status.
type Status struct {
	FormatVersion int `json:"formatVersion"`
	// At is when the status was made.
	At time.Time `json:"at"`
	// Ready: there is no problem.
	Ready    bool      `json:"ready"`
	Problems []Problem `json:"problems"`
	Progress Progress  `json:"progress"`
	// Owner is what the record in the checkpoint says; absent: there is none.
	Owner   *Owner        `json:"owner,omitempty"`
	Queries []QueryStatus `json:"queries"`
	// Dropped is how many query roots are not watched because there are too many.
	Dropped int `json:"dropped,omitempty"`
	// Mounted are the digests of the Secrets and ConfigMaps of the application.
	Mounted *Mounted `json:"mounted,omitempty"`
	// Points of the bucket; absent: there is none, or it was not looked at yet.
	Points *Points `json:"points,omitempty"`
}

// Owner is whose the checkpoint is by its own record.
type Owner struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Epoch     int64  `json:"epoch"`
}

// QueryStatus is what is known of one query root. All spans are in seconds.
type QueryStatus struct {
	Name string `json:"name"`
	Path string `json:"path"`
	// Discovered: the spec does not name the query.
	Discovered bool `json:"discovered,omitempty"`
	// Abandoned: nothing has happened in a discovered root for a day when it was
	// found. It does not count until something does.
	Abandoned bool `json:"abandoned,omitempty"`
	// Absent: there is no root yet.
	Absent   bool      `json:"absent,omitempty"`
	LookedAt time.Time `json:"lookedAt,omitzero"`
	// Error of the last look, if it failed.
	Error string `json:"error,omitempty"`

	// LastCommit and LastOffset are null when there is none.
	LastCommit    *int64    `json:"lastCommit"`
	LastCommitAt  time.Time `json:"lastCommitAt,omitzero"`
	LastCommitAge float64   `json:"lastCommitAgeSeconds,omitempty"`
	LastOffset    *int64    `json:"lastOffset"`
	LastOffsetAt  time.Time `json:"lastOffsetAt,omitzero"`
	InFlight      bool      `json:"inFlight"`
	InFlightAge   float64   `json:"inFlightSeconds,omitempty"`

	Trigger TriggerStatus `json:"trigger"`
	// QueryID is the id in the root's metadata.
	QueryID string `json:"queryID,omitempty"`
	// Working is the mark of a command of the agent.
	Working      string              `json:"working,omitempty"`
	Change       *Change             `json:"change,omitempty"`
	SecondWriter *Traces             `json:"secondWriter,omitempty"`
	Verification *VerificationStatus `json:"verification,omitempty"`
	Lag          *Lag                `json:"lag,omitempty"`
}

// TriggerStatus compares intervals. Zero: unknown.
type TriggerStatus struct {
	Declared float64 `json:"declaredSeconds,omitempty"`
	// Measured is the median time between the begins of two batches.
	Measured float64 `json:"measuredSeconds,omitempty"`
	// Batch is the median time that a batch takes.
	Batch   float64        `json:"batchSeconds,omitempty"`
	Verdict TriggerVerdict `json:"verdict"`
}

// VerificationStatus is the newest judgement on a root.
type VerificationStatus struct {
	At      time.Time `json:"at,omitzero"`
	Level   int       `json:"level"`
	Took    float64   `json:"tookSeconds"`
	Healthy bool      `json:"healthy"`
	// Findings of severity error, also those of the last deep verification.
	Findings []checkpoint.Finding `json:"findings,omitempty"`
	// Warnings is how many findings there are of that severity.
	Warnings int `json:"warnings,omitempty"`
	// DeepAt and DeepLevel are of the last verification that looked at state.
	DeepAt    time.Time `json:"deepAt,omitzero"`
	DeepLevel int       `json:"deepLevel,omitempty"`
	// Files and Bytes of the root.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Restorable is how many committed batches can be gone back to.
	Restorable int    `json:"restorableBatches"`
	Provider   string `json:"provider"`
	// Error of a later verification that could not judge.
	Error   string    `json:"error,omitempty"`
	ErrorAt time.Time `json:"errorAt,omitzero"`
}

// Mounted are digests of directories: SHA-256 over the names and contents of their
// files, in hexadecimal.
type Mounted struct {
	At      time.Time         `json:"at"`
	Digests map[string]string `json:"digests"`
	// Errors by the same names, of directories that cannot be read.
	Errors map[string]string `json:"errors,omitempty"`
}

// Points are the recovery points in the bucket.
type Points struct {
	At    time.Time `json:"at,omitzero"`
	Place string    `json:"place"`
	// Count of all points, and of those that were verified after their upload.
	Count    int `json:"count"`
	Verified int `json:"verified"`
	// Newest and NewestVerified are null when there is none.
	Newest         *PointStatus `json:"newest"`
	NewestVerified *PointStatus `json:"newestVerified"`
	// Error of the last listing, if it failed; the rest is then older.
	Error string `json:"error,omitempty"`
}

// PointStatus is one recovery point.
type PointStatus struct {
	ID          string    `json:"id"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
	// Batches of the roots by path.
	Batches map[string]int64 `json:"batches,omitempty"`
}

// Status of the query.
func (q *Query) Status(now time.Time) QueryStatus {
	s := QueryStatus{
		Name: q.declared.Name, Path: q.declared.Path, Discovered: q.declared.Discovered, Abandoned: q.abandoned, Absent: q.absent,
		LookedAt: q.lookedAt, Error: q.failure, Working: q.working, QueryID: q.place.queryID,
		Trigger: TriggerStatus{
			Declared: seconds(q.declared.Trigger), Measured: seconds(q.pulse.interval()), Batch: seconds(q.pulse.duration()),
			Verdict: q.pulse.verdict(q.declared.Trigger),
		},
		Verification: q.judged.status(),
	}
	if q.anyCommit {
		s.LastCommit, s.LastCommitAt, s.LastCommitAge = new(q.commit.Number), q.commit.Time.UTC(), seconds(age(q.commit.Time, now))
	}
	if q.anyOffset {
		s.LastOffset, s.LastOffsetAt = new(q.offset.Number), q.offset.Time.UTC()
	}
	if since, is := q.inFlight(); is {
		s.InFlight, s.InFlightAge = true, seconds(age(since, now))
	}
	s.Change, s.SecondWriter, s.Lag = clone(q.place.change), clone(q.judged.traces), clone(q.lag)
	return s
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

func (j *judgement) status() *VerificationStatus {
	if j.last.At.IsZero() && j.failure == "" {
		return nil
	}
	s := &VerificationStatus{At: j.last.At, Level: j.last.Level, Took: seconds(j.last.Took), Findings: j.errors(),
		DeepAt: j.deep.At, DeepLevel: j.deep.Level, Files: j.last.Files, Bytes: j.last.Bytes}
	if j.failure != "" {
		s.Error, s.ErrorAt = j.failure, j.failedAt
	}
	s.Healthy = j.report != nil && len(s.Findings) == 0
	if j.report == nil {
		return s
	}
	s.Provider, s.Restorable = j.report.Provider.String(), len(j.report.RestorableBatches)
	if j.deepened != nil {
		s.Restorable = len(j.deepened.RestorableBatches)
	}
	for _, f := range j.report.Findings {
		if f.Severity == checkpoint.SeverityWarning {
			s.Warnings++
		}
	}
	return s
}

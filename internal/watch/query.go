// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// Declared is what is known of a query before its root is looked at.
type Declared struct {
	// Name of the query, or the path of a root that was discovered.
	Name string
	// Path of the root below the checkpoint's place.
	Path string
	// Trigger interval of the spec; zero: none is declared.
	Trigger time.Duration
	// Discovered: the spec does not name the query.
	Discovered bool
	// StallAfter is how long a batch may be under way.
	StallAfter time.Duration
	// Since when it is watched.
	Since time.Time
}

// abandonedAfter is how long nothing has happened in a discovered root when it is
// first looked at for it to count as one that no query uses any more.
const abandonedAfter = 24 * time.Hour

// Query is what is known of one query root.
type Query struct {
	declared Declared

	// lookedAt is the time of the last look that succeeded, failed of one that did
	// not, with what it ran into.
	lookedAt, failedAt time.Time
	failure            string
	// absent: the root is not there.
	absent bool

	offset, commit       Batch
	anyOffset, anyCommit bool
	working              string
	abandoned            bool
	pulse                pulse

	place    place
	judged   judgement
	lag      *Lag
	progress time.Time // when a newer batch was last noticed, by the watcher's clock
}

// NewQuery knows nothing yet.
func NewQuery(d Declared) *Query { return &Query{declared: d} }

// Declared returns what NewQuery was given.
func (q *Query) Declared() Declared { return q.declared }

// Newest are the newest numbers seen in the two logs, or -1.
func (q *Query) Newest() (offset, commit int64) {
	offset, commit = -1, -1
	if q.anyOffset {
		offset = q.offset.Number
	}
	if q.anyCommit {
		commit = q.commit.Number
	}
	return offset, commit
}

// Looked takes a look that succeeded.
func (q *Query) Looked(at time.Time, l Look) {
	first := q.lookedAt.IsZero()
	q.lookedAt, q.failure, q.absent = at, "", false
	offset, anyOffset := newest(l.Offsets)
	commit, anyCommit := newest(l.Commits)
	moved := anyOffset != q.anyOffset || anyCommit != q.anyCommit || offset != q.offset || commit != q.commit
	if moved || first {
		q.progress = at
	}
	q.place.looked(at, l, commit, anyCommit)
	if back := anyOffset && q.anyOffset && offset.Number < q.offset.Number; back || !anyOffset && q.anyOffset {
		// Another timeline: times of the two have nothing to do with each other.
		q.pulse = pulse{}
	}
	q.offset, q.commit, q.anyOffset, q.anyCommit, q.working = offset, commit, anyOffset, anyCommit, l.Working
	q.pulse.begins(l.Offsets)
	q.pulse.ends(l.Commits)
	if first {
		q.abandoned = q.declared.Discovered && at.Sub(q.lastWritten()) > abandonedAfter
	} else if moved {
		q.abandoned = false
	}
}

// Absent takes a look that found no root. Spark makes it with the first batch.
func (q *Query) Absent(at time.Time) {
	q.Looked(at, Look{})
	q.absent = true
}

// Failed takes a look that did not succeed; what was seen before stays.
func (q *Query) Failed(at time.Time, err error) { q.failedAt, q.failure = at, err.Error() }

// lastWritten is the time of the newest entry of the logs.
func (q *Query) lastWritten() time.Time {
	if q.anyCommit && q.commit.Time.After(q.offset.Time) {
		return q.commit.Time
	}
	return q.offset.Time
}

// inFlight tells since when a batch is under way.
func (q *Query) inFlight() (since time.Time, is bool) {
	if !q.anyOffset || q.anyCommit && q.commit.Number >= q.offset.Number {
		return time.Time{}, false
	}
	return q.offset.Time, true
}

// age of a time that another machine's clock has set.
func age(at, now time.Time) time.Duration { return max(now.Sub(at), 0) }

// Verified takes the report of a verification up to a level.
func (q *Query) Verified(v Verification, report *checkpoint.Report) { q.judged.verified(v, report) }

// VerifyFailed takes a verification that could not judge.
func (q *Query) VerifyFailed(at time.Time, err error) {
	q.judged.failedAt, q.judged.failure = at, err.Error()
}

// Lagged takes a reading of the lag behind Kafka.
func (q *Query) Lagged(l Lag) {
	if l.Error != "" && q.lag != nil {
		l.Batch, l.Records, l.Topics, l.At = q.lag.Batch, q.lag.Records, q.lag.Topics, q.lag.At
	}
	q.lag = &l
}

// Identified takes the id of the query from the root's metadata.
func (q *Query) Identified(at time.Time, id string) { q.place.identified(at, id) }

// Recorded takes how far the checkpoint's own record says that the root was, or -1;
// mark changes whenever the record does.
func (q *Query) Recorded(batch int64, mark string) { q.place.recorded(batch, mark) }

// Lag behind the end of Kafka's topics, of what is not committed yet.
type Lag struct {
	// At is when it was read.
	At time.Time `json:"at,omitzero"`
	// Batch is the committed batch from whose offsets it counts; -1: from the
	// offsets at which the query began.
	Batch int64 `json:"batch"`
	// Records not yet committed, and of each topic.
	Records int64            `json:"records"`
	Topics  map[string]int64 `json:"topics,omitempty"`
	// Error says why the last reading failed; the numbers are then older.
	Error string `json:"error,omitempty"`
}

func seconds(d time.Duration) float64 { return d.Seconds() }

func quiet(d time.Duration) string { return fmt.Sprint(d.Round(time.Second)) }

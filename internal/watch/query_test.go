// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

var (
	begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pace  = Pace{Fastest: time.Second, Slowest: time.Minute, Shallow: time.Minute, Deep: 5 * time.Minute}
	sound = &checkpoint.Report{Healthy: true, RestorableBatches: []int64{0, 1}, Provider: checkpoint.ProviderHDFS}
)

func at(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

func orders() *Query {
	return NewQuery(Declared{Name: "orders", Path: "orders/agg", Trigger: 10 * time.Second, StallAfter: 5 * time.Minute, Since: begin})
}

// verified is a query whose root is sound at the given second.
func verified(q *Query, second int) *Query {
	q.Verified(Verification{At: at(second), Level: checkpoint.LevelStructure, Files: 7, Bytes: 700}, sound)
	return q
}

// batches numbered first, first+1, … of which each begins at a second.
func batches(first int64, seconds ...int) []Batch {
	var out []Batch
	for i, s := range seconds {
		out = append(out, Batch{first + int64(i), at(s)})
	}
	return out
}

// reasons of the problems at a second.
func reasons(q *Query, second int) string {
	var out []string
	for _, p := range q.problems(at(second), pace) {
		out = append(out, string(p.Reason))
	}
	return strings.Join(out, " ")
}

func TestProgressIsReadFromTheLogs(t *testing.T) {
	q := verified(orders(), 40)
	q.Looked(at(45), Look{Offsets: batches(3, 30, 40), Commits: batches(3, 36)})
	s := q.Status(at(50))
	if *s.LastCommit != 3 || s.LastCommitAge != 14 || *s.LastOffset != 4 || !s.InFlight || s.InFlightAge != 10 {
		t.Errorf("status is %+v", s)
	}
	if got := reasons(q, 50); got != "" {
		t.Errorf("problems %s of a query in its batch", got)
	}
	q.Looked(at(55), Look{Offsets: batches(4, 40), Commits: batches(4, 52)})
	if s := q.Status(at(60)); s.InFlight || s.InFlightAge != 0 || *s.LastCommit != 4 || s.LastCommitAge != 8 {
		t.Errorf("after the commit the status is %+v", s)
	}
}

func TestBatchThatTakesTooLongStalls(t *testing.T) {
	q := verified(orders(), 0)
	look := Look{Offsets: batches(7, 0, 10), Commits: batches(7, 5)}
	for second := 15; second < 400; second += 30 {
		q.Looked(at(second), look)
	}
	q.Looked(at(310), look)
	if got := reasons(q, 310); got != "" {
		t.Errorf("problems %s after exactly the limit", got)
	}
	q.Looked(at(311), look)
	if got := reasons(q, 311); got != "Stalled" {
		t.Errorf("problems %q, want Stalled", got)
	}
	q.Looked(at(312), Look{Offsets: batches(8, 10), Commits: batches(8, 312)})
	if got := reasons(q, 313); got != "" {
		t.Errorf("problems %s after the batch ended", got)
	}
}

// Without a batch under way a query may have nothing to do; records that wait in
// Kafka tell.
func TestIdleIsHealthyUnlessRecordsWait(t *testing.T) {
	q := verified(orders(), 0)
	idle := Look{Offsets: batches(7, 0), Commits: batches(7, 5)}
	q.Looked(at(10), idle)
	q.Looked(at(1000), idle)
	if got := reasons(q, 1001); got != "" {
		t.Errorf("problems %s of an idle query", got)
	}
	q.Lagged(Lag{At: at(1001), Batch: 7, Records: 12})
	if got := reasons(q, 1001); got != "Behind" {
		t.Errorf("problems %q with records waiting, want Behind", got)
	}
	q.Lagged(Lag{At: at(1002), Batch: 7})
	if got := reasons(q, 1002); got != "" {
		t.Errorf("problems %s with none waiting", got)
	}
	q.Lagged(Lag{At: at(1003), Batch: 7, Records: 5})
	q.Lagged(Lag{Error: "no broker answers"})
	if s := q.Status(at(1004)); s.Lag.Records != 5 || !s.Lag.At.Equal(at(1003)) || s.Lag.Error != "no broker answers" {
		t.Errorf("after a failure the lag is %+v", s.Lag)
	}
	if got := reasons(q, 1004); got != "" {
		t.Errorf("problems %s by an old reading", got)
	}
}

func TestQueryIsNotReadyBeforeItsFirstCommit(t *testing.T) {
	q := orders()
	if got := reasons(q, 180); got != "Starting" {
		t.Errorf("problems %q before the first look", got)
	}
	if got := q.problems(at(181), pace); len(got) != 1 || got[0].Message != "not seen for 3m1s: the file system does not answer" {
		t.Errorf("problems %+v of a root that was never seen", got)
	}
	q.Absent(at(1))
	if got := reasons(q, 2); got != "NothingCommitted" || !q.Status(at(2)).Absent {
		t.Errorf("problems %q without a root", got)
	}
	q.Looked(at(3), Look{Offsets: batches(0, 3)})
	if got := reasons(q, 4); got != "NothingCommitted Starting" || q.Status(at(4)).Absent {
		t.Errorf("problems %q in the first batch", got)
	}
	q.Looked(at(5), Look{Offsets: batches(0, 3), Commits: batches(0, 5)})
	q.VerifyFailed(at(5), errors.New("read metadata: permission denied"))
	if got := q.problems(at(6), pace); len(got) != 1 || got[0].Reason != ReasonNotVerified || got[0].Message != "read metadata: permission denied" {
		t.Errorf("problems %+v", got)
	}
	verified(q, 6)
	if got := reasons(q, 7); got != "" {
		t.Errorf("problems %s of a sound root", got)
	}
}

// A look that fails once is a hiccup of the file system; what was seen stays.
func TestRootThatCannotBeSeenIsTold(t *testing.T) {
	q := verified(orders(), 0)
	q.Looked(at(0), Look{Offsets: batches(7, 0), Commits: batches(7, 0)})
	q.Failed(at(100), errors.New("stale file handle"))
	if got := reasons(q, 180); got != "" {
		t.Errorf("problems %s after a short while", got)
	}
	if got := q.problems(at(181), pace); len(got) != 1 || got[0].Message != "not seen for 3m1s: stale file handle" {
		t.Errorf("problems %+v", got)
	}
	hung := verified(orders(), 0)
	hung.Looked(at(0), Look{Offsets: batches(7, 0), Commits: batches(7, 0)})
	if got := hung.problems(at(600), pace); len(got) != 1 || !strings.Contains(got[0].Message, "does not answer") {
		t.Errorf("problems %+v of a volume that hangs", got)
	}
}

func TestDamageAndTracesComeFromVerification(t *testing.T) {
	q := orders()
	q.Looked(at(0), Look{Offsets: batches(7, 0), Commits: batches(7, 0)})
	trace := checkpoint.Finding{Level: 4, Severity: checkpoint.SeverityWarning, Kind: checkpoint.KindSecondWriter, Path: "state/0/1/9.delta", Message: "was written after commits/8"}
	gone := checkpoint.Finding{Level: 4, Severity: checkpoint.SeverityError, Kind: checkpoint.KindPartitionMissing, Path: "state/0/2", Message: "is missing"}
	q.Verified(Verification{At: at(1), Level: 4, Files: 40, Bytes: 4000}, &checkpoint.Report{Healthy: false, Findings: []checkpoint.Finding{gone, trace}})
	if got := reasons(q, 2); got != "SecondWriter Damaged" {
		t.Errorf("problems %q", got)
	}
	// A shallow one does not look at state, so it takes nothing back.
	q.Verified(Verification{At: at(3), Level: 3, Files: 41, Bytes: 4100}, sound)
	if got := reasons(q, 4); got != "SecondWriter Damaged" {
		t.Errorf("problems %q after a shallow verification", got)
	}
	if v := q.Status(at(4)).Verification; v.Healthy || v.Files != 41 || v.Bytes != 4100 || v.Level != 3 || v.DeepLevel != 4 || !v.DeepAt.Equal(at(1)) || len(v.Findings) != 1 {
		t.Errorf("verification is %+v", v)
	}
	q.Verified(Verification{At: at(5), Level: 4}, sound)
	if got := reasons(q, 6); got != "" {
		t.Errorf("problems %q after the trace went", got)
	}
	if tr := q.Status(at(6)).SecondWriter; tr == nil || tr.Present != 0 || !tr.LastSeen.Equal(at(1)) || tr.Path != "state/0/1/9.delta" {
		t.Errorf("what is remembered of the trace is %+v", tr)
	}
}

func TestAbandonedRootDoesNotCountUntilItMoves(t *testing.T) {
	q := NewQuery(Declared{Name: "old", Path: "old", Discovered: true, StallAfter: time.Minute})
	look := Look{Offsets: batches(3, -90000), Commits: nil}
	q.Looked(at(0), look)
	if got := reasons(q, 1); got != "" || !q.Status(at(1)).Abandoned {
		t.Errorf("problems %q of a root that nobody uses", got)
	}
	q.Looked(at(10), Look{Offsets: batches(3, -90000), Commits: batches(3, 9)})
	if got := reasons(q, 11); got != "Starting" || q.Status(at(11)).Abandoned {
		t.Errorf("problems %q once it moves", got)
	}
	declared := orders()
	declared.Looked(at(0), look)
	if declared.Status(at(0)).Abandoned {
		t.Error("a declared query was taken for abandoned")
	}
}

func TestRecentEntries(t *testing.T) {
	names := []string{".9.crc", "007", "9", "10", "8", "11.tmp", "1", "-3", "99999999999999999999"}
	for after, want := range map[int64][]int64{-1: {1, 8, 9, 10}, 8: {9, 10}, 10: {10}, 50: {10}} {
		if got := Recent(names, after); !slices.Equal(got, want) {
			t.Errorf("after %d: %v, want %v", after, got, want)
		}
	}
	if got := Recent([]string{".0.crc"}, -1); got != nil {
		t.Errorf("an empty log has %v", got)
	}
	var many []string
	for i := range 200 {
		many = append(many, string(rune('0'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10)))
	}
	if got := Recent(many[100:], -1); len(got) != mostRecent || got[len(got)-1] != 199 {
		t.Errorf("of many: %v", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// steady is a query that was watched while a batch began every so many seconds and
// took a part of that.
func steady(every, takes float64, batches int) *Query {
	q := orders()
	second := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	for n := range batches {
		start := float64(n) * every
		planned := Batch{int64(n), second(start)}
		done := Batch{int64(n), second(start + takes)}
		q.Looked(second(start+takes), Look{Offsets: []Batch{planned}, Commits: []Batch{done}})
	}
	return q
}

func TestTriggerIsMeasured(t *testing.T) {
	for _, test := range []struct {
		title          string
		q              *Query
		measured, took float64
		verdict        TriggerVerdict
	}{
		{"as declared", steady(10, 4, 40), 10, 4, TriggerAsDeclared},
		{"without a trigger", steady(0.5, 0.5, 40), 0.5, 0.5, TriggerFaster},
		{"idle", steady(60, 2, 10), 60, 2, TriggerSlower},
		{"too few", steady(10, 4, 5), 0, 4, TriggerUnknown},
	} {
		got := test.q.Status(at(1000)).Trigger
		want := TriggerStatus{Declared: 10, Measured: test.measured, Batch: test.took, Verdict: test.verdict}
		if got != want {
			t.Errorf("%s: %+v, want %+v", test.title, got, want)
		}
	}
}

// A restart makes one long gap, asynchronous progress tracking leaves numbers out,
// a look may find several new batches, and a copy may have lost its times.
func TestMeasureHoldsOutagesAndGaps(t *testing.T) {
	q := orders()
	q.Looked(at(60), Look{Offsets: batches(0, 0, 10, 20, 30, 40, 50, 60)})
	q.Looked(at(70), Look{Offsets: batches(6, 60, 70)})
	q.Looked(at(4000), Look{Offsets: batches(7, 70, 4000)})
	q.Looked(at(4030), Look{Offsets: []Batch{{8, at(4000)}, {11, at(4030)}}})
	if got := q.pulse.interval(); got != 10*time.Second {
		t.Errorf("measured %s", got)
	}
	if got := len(q.pulse.gaps); got != 9 {
		t.Errorf("%d gaps of 9", got)
	}
	copied := orders()
	copied.Looked(at(0), Look{Offsets: batches(0, 5, 5, 5, 5, 5, 5, 5)})
	if got := copied.pulse.verdict(10 * time.Second); got != TriggerUnknown {
		t.Errorf("verdict %s on times that say nothing", got)
	}
}

// What was measured before a root was taken back says nothing of the time after.
func TestMeasureBeginsAgainOnAnotherTimeline(t *testing.T) {
	q := steady(1, 0.5, 20)
	if q.pulse.interval() != time.Second {
		t.Fatalf("measured %s", q.pulse.interval())
	}
	q.Looked(at(100), Look{Offsets: batches(5, 5), Commits: batches(5, 6)})
	if got := q.pulse.interval(); got != 0 {
		t.Errorf("measured %s after a rewind", got)
	}
}

func TestLooksFollowTheTrigger(t *testing.T) {
	for _, test := range []struct {
		title string
		q     *Query
		now   int
		want  time.Duration
	}{
		{"half the interval", steady(10, 4, 40), 394, 5 * time.Second},
		{"fast trigger", steady(0.2, 0.1, 40), 8, time.Second},
		{"slow trigger", steady(600, 1, 10), 5402, time.Minute},
		{"idle for 5 minutes", steady(10, 4, 40), 694, 30 * time.Second},
		{"idle for an hour", steady(10, 4, 40), 3994, time.Minute},
		{"not looked at yet", orders(), 0, 5 * time.Second},
		{"nothing known", NewQuery(Declared{}), 0, time.Second},
	} {
		if got := test.q.NextLook(at(test.now), pace); got != test.want {
			t.Errorf("%s: next look in %s, want %s", test.title, got, test.want)
		}
	}
}

func TestVerificationsTakeASmallPartOfTheTime(t *testing.T) {
	q := orders()
	expect := func(title string, second int, deep bool) {
		t.Helper()
		gotAt, gotDeep := q.NextVerification(pace)
		if want := at(second); !gotAt.Equal(want) || gotDeep != deep {
			t.Errorf("%s: next at %s, deep %v; want %s, %v", title, gotAt, gotDeep, want, deep)
		}
	}
	if first, deep := q.NextVerification(pace); !first.IsZero() || !deep {
		t.Errorf("first verification at %s, deep %v", first, deep)
	}
	q.VerifyFailed(at(1), checkpoint.ErrNoRoot)
	expect("after a failure", 61, true)
	q.Verified(Verification{At: at(100), Took: time.Second, Level: 4}, sound)
	expect("on a fast volume", 160, false)
	q.Verified(Verification{At: at(160), Took: 10 * time.Second, Level: 3}, sound)
	expect("on a slow volume", 360, false)
	q.Verified(Verification{At: at(360), Took: 10 * time.Second, Level: 3}, sound)
	expect("when a deep one is due", 560, true)
	q.VerifyFailed(at(560), checkpoint.ErrNoRoot)
	expect("after a later failure", 620, true)
}

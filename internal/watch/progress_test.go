// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		name   string
		look   Look
		lag    *Lag
		second int
		want   Progress
	}{
		{"is not known before the first batch", Look{}, nil, 60, Progress{State: ProgressUnknown}},
		{"advances in the first batch", Look{Offsets: batches(0, 40)}, nil, 60, Progress{State: ProgressAdvancing}},
		{"advances in a batch", Look{Offsets: batches(3, 30, 40), Commits: batches(3, 36)}, nil, 200, Progress{State: ProgressAdvancing}},
		{"advances shortly after a commit", Look{Offsets: batches(3, 30), Commits: batches(3, 36)}, nil, 96, Progress{State: ProgressAdvancing}},
		{"is idle a while after a commit", Look{Offsets: batches(3, 30), Commits: batches(3, 36)}, nil, 97, Progress{State: ProgressIdle, Since: at(36)}},
		{"is stalled in a batch that takes too long", Look{Offsets: batches(3, 30, 40), Commits: batches(3, 36)}, nil, 341, Progress{State: ProgressStalled, Since: at(40)}},
		{"is stalled when input waits", Look{Offsets: batches(3, 30), Commits: batches(3, 36)}, &Lag{Records: 7}, 500, Progress{State: ProgressStalled, Since: at(45)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := orders()
			q.Looked(at(45), test.look)
			if test.lag != nil {
				q.Lagged(*test.lag)
			}
			if got := q.Progress(at(test.second)); got != test.want {
				t.Errorf("progress is %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestProgressOfAPipelineIsThatOfItsWorstQuery(t *testing.T) {
	w := New(pace, orders().Declared(), Declared{Name: "returns", Path: "returns", StallAfter: 5 * time.Minute, Since: begin},
		Declared{Name: "none", Path: "none", Since: begin})
	set := func(i int, l Look) { w.queries[i].Looked(at(45), l) }
	expect := func(second int, want Progress) {
		t.Helper()
		if got := w.Status(at(second)).Progress; got != want {
			t.Errorf("after %d s progress is %+v, want %+v", second, got, want)
		}
	}
	expect(0, Progress{State: ProgressUnknown})
	set(0, Look{Offsets: batches(3, 30), Commits: batches(3, 36)})
	set(1, Look{Offsets: batches(3, 30), Commits: batches(3, 40)})
	expect(50, Progress{State: ProgressAdvancing})
	// The one that was idle last is when the pipeline came to rest.
	expect(120, Progress{State: ProgressIdle, Since: at(40)})
	set(1, Look{Offsets: batches(3, 30, 45), Commits: batches(3, 40)})
	expect(120, Progress{State: ProgressAdvancing})
	expect(400, Progress{State: ProgressStalled, Since: at(45)})
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"
	"time"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

func TestScalingBounds(t *testing.T) {
	s := v1alpha1.ScalingSpec{MinExecutors: 3, MaxExecutors: 20, Schedules: []v1alpha1.ScalingSchedule{
		{Start: "0 8 * * *", End: "0 18 * * *", TimeZone: "Europe/Berlin", MinExecutors: 10, MaxExecutors: 40},
		{Start: "0 12 * * *", End: "0 13 * * *", TimeZone: "Europe/Berlin", MinExecutors: 15, MaxExecutors: 50},
		{Start: "no cron", End: "0 0 * * *", TimeZone: "UTC", MinExecutors: 99, MaxExecutors: 99},
	}}
	for _, c := range []struct {
		at, next string
		want     Bounds
	}{
		{"2026-11-24T06:59:59Z", "2026-11-24T07:00:00Z", Bounds{3, 20}},
		{"2026-11-24T07:00:00Z", "2026-11-24T11:00:00Z", Bounds{10, 40}},
		{"2026-11-24T11:30:00Z", "2026-11-24T12:00:00Z", Bounds{15, 50}}, // the later one in the list wins
		{"2026-11-24T12:00:00Z", "2026-11-24T17:00:00Z", Bounds{10, 40}},
		{"2026-11-24T17:00:00Z", "2026-11-25T07:00:00Z", Bounds{3, 20}},
		// The night in which Berlin's clocks go back, and the one in which they go on.
		{"2026-10-25T06:59:00Z", "2026-10-25T07:00:00Z", Bounds{3, 20}},
		{"2026-10-24T05:59:00Z", "2026-10-24T06:00:00Z", Bounds{3, 20}},
		{"2027-03-28T06:00:00Z", "2027-03-28T10:00:00Z", Bounds{10, 40}},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got, next := ScalingBounds(s, at)
		if got != c.want || next.UTC().Format(time.RFC3339) != c.next {
			t.Errorf("at %s: %+v until %s, want %+v until %s", c.at, got, next.UTC().Format(time.RFC3339), c.want, c.next)
		}
	}
	if b, next := ScalingBounds(v1alpha1.ScalingSpec{MinExecutors: 1, MaxExecutors: 2}, time.Unix(0, 0)); b != (Bounds{1, 2}) || !next.IsZero() {
		t.Errorf("without schedules: %+v, %v", b, next)
	}
}

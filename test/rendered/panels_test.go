// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Each panel shows what is there, of this pipeline alone.
func TestPanelsShow(t *testing.T) {
	want := map[string][]string{
		"panel Active executors":        {"3"},
		"panel Processing delay":        {"320", "862"},
		"panel Task failure rate":       {"0"},
		"panel Memory utilisation":      {"0.6", "0.6", "0.6"},
		"panel GC overhead":             {"0.00667", "0.00667", "0.00667", "0.00667"},
		"panel Checkpoint success rate": {"0.5"},
	}
	series := also(healthy(), failedJob("orders-snapshot-29300001", "200"))
	for _, names := range others {
		series = also(series, renamed(series, names...))
	}
	got := show(t, render(t, "minimal", input(t, "minimal")), series)
	if len(got) != len(want) {
		t.Errorf("got the panels %v", got)
	}
	for panel, values := range want {
		if !slices.Equal(got[panel], values) {
			t.Errorf("%s shows %v, expected %v", panel, got[panel], values)
		}
	}
}

// show evaluates each panel ten minutes in, with three digits.
func show(t *testing.T, r rendering, series map[string]string) map[string][]string {
	t.Helper()
	ask := prometheus(t, series)
	out := map[string][]string{}
	for _, q := range r.panels(t) {
		samples, err := ask(context.Background(), q.expr, time.Unix(600, 0).UTC())
		if err != nil {
			t.Fatalf("%s: %v", q.name, err)
		}
		for _, s := range samples {
			out[q.name] = append(out[q.name], strconv.FormatFloat(s.F, 'g', 3, 64))
		}
		slices.Sort(out[q.name])
	}
	return out
}

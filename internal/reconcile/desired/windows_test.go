// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"
	"time"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

func TestMaintenanceWindow(t *testing.T) {
	windows := []v1alpha1.MaintenanceWindow{
		{Start: "0 2 * * *", Duration: "1h", TimeZone: "UTC"},
		{Start: "0 22 * * 6", Duration: "3h", TimeZone: "Europe/Berlin"},
	}
	for _, c := range []struct {
		at   string
		open bool
		next string
	}{
		{"2026-11-24T02:00:00Z", true, ""},
		{"2026-11-24T02:59:59Z", true, ""},
		{"2026-11-24T03:00:00Z", false, "2026-11-25T02:00:00Z"},
		{"2026-11-28T20:59:00Z", false, "2026-11-28T21:00:00Z"}, // Saturday 22:00 in Berlin
		{"2026-11-28T23:30:00Z", true, ""},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		open, next := MaintenanceWindow(windows, at)
		got := ""
		if !next.IsZero() {
			got = next.UTC().Format(time.RFC3339)
		}
		if open != c.open || got != c.next {
			t.Errorf("at %s: open %t, next %q", c.at, open, got)
		}
	}
}

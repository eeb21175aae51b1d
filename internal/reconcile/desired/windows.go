// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"time"

	"github.com/robfig/cron/v3"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// MaintenanceWindow says whether one of the windows is open at the given time,
// and if not, when the next one opens. A window that cannot be read never opens;
// Judge has reported it.
func MaintenanceWindow(windows []v1alpha1.MaintenanceWindow, at time.Time) (open bool, next time.Time) {
	for _, w := range windows {
		schedule, err := cron.ParseStandard("TZ=" + w.TimeZone + " " + string(w.Start))
		if err != nil {
			continue
		}
		// The last start that could still be open began after at-duration.
		start := schedule.Next(at.Add(-w.Duration.Duration()))
		if !start.IsZero() && !start.After(at) {
			return true, time.Time{}
		}
		if start = schedule.Next(at); !start.IsZero() && (next.IsZero() || start.Before(next)) {
			next = start
		}
	}
	return false, next
}

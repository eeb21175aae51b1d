// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"time"

	"github.com/robfig/cron/v3"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Bounds of the number of executors.
type Bounds struct{ Min, Max int32 }

// ScalingBounds are the bounds in force at a time: those of the last schedule of the
// list that has begun and not ended, else those of the spec itself. next is when
// that may change; zero: never. A schedule that cannot be read is never in force;
// Judge has reported it.
func ScalingBounds(s v1alpha1.ScalingSpec, at time.Time) (b Bounds, next time.Time) {
	b = Bounds{s.MinExecutors, s.MaxExecutors}
	for _, schedule := range s.Schedules {
		start, startErr := cron.ParseStandard("TZ=" + schedule.TimeZone + " " + string(schedule.Start))
		end, endErr := cron.ParseStandard("TZ=" + schedule.TimeZone + " " + string(schedule.End))
		if startErr != nil || endErr != nil {
			continue
		}
		begins, ends := start.Next(at), end.Next(at)
		// It has begun when it ends before it begins again.
		if !ends.IsZero() && (begins.IsZero() || ends.Before(begins)) {
			b = Bounds{schedule.MinExecutors, schedule.MaxExecutors}
		}
		for _, change := range []time.Time{begins, ends} {
			if !change.IsZero() && (next.IsZero() || change.Before(next)) {
				next = change
			}
		}
	}
	return b, next
}

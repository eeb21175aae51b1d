// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"strconv"
	"time"

	"github.com/robfig/cron/v3"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Problem is an objective that the spec cannot meet, with the sum that shows it.
// It is said, not refused: an objective is a wish, and backups that miss it are
// better than none.
type Problem struct {
	// Field that would have to change.
	Field string
	// Sum shows what does not add up.
	Sum string
}

func (p Problem) String() string { return p.Field + ": " + p.Sum }

// Judge reads every schedule of the spec and holds it against objectives and
// retention. The error is an *InvalidError for a schedule or a time zone that
// cannot be read.
func Judge(p *v1alpha1.SparkPipeline) ([]Problem, error) {
	b := p.Spec.Backup
	gaps := map[string]time.Duration{}
	for _, s := range schedules(p) {
		gap, err := longestGap(s.field, s.schedule, s.zone)
		if err != nil {
			return nil, err
		}
		gaps[s.field] = gap
	}
	var out []Problem
	rpo := func(objective string, allowed v1alpha1.Duration, field string) {
		if gap := gaps[field]; gap > allowed.Duration() {
			out = append(out, Problem{field, fmt.Sprintf("up to %s pass between two runs, and spec.recovery.objectives.%s.rpo allows %s", gap, objective, allowed)})
		}
	}
	kept := func(field string, schedule string, retention v1alpha1.Duration) {
		if gap := gaps[schedule]; retention.Duration() < 2*gap {
			out = append(out, Problem{field, fmt.Sprintf("%s is less than twice the %s between two runs, so one failed run leaves a single copy", retention, gap)})
		}
	}
	o := p.Spec.Recovery.Objectives
	if backsUp(p) {
		rpo("cluster", o.Cluster.RPO, "spec.backup.checkpoint.schedule")
		kept("spec.backup.checkpoint.retention", "spec.backup.checkpoint.schedule", b.Checkpoint.Retention)
	}
	if snapshots(p) {
		rpo("volume", o.Volume.RPO, "spec.backup.snapshot.schedule")
		kept("spec.backup.snapshot.retention", "spec.backup.snapshot.schedule", b.Snapshot.Retention)
	}
	return out, nil
}

// backsUp says that recovery points go to a bucket.
func backsUp(p *v1alpha1.SparkPipeline) bool { return p.Spec.ObjectStore.Buckets.Backups != "" }

// snapshots says that there is a volume of which snapshots are to be taken.
func snapshots(p *v1alpha1.SparkPipeline) bool {
	return p.Spec.Backup.Snapshot.State == v1alpha1.StateEnabled && p.Spec.Checkpoint.Location == ""
}

// SnapshotsOff says why the snapshots that the spec asks for are not taken; empty:
// they are, or it asks for none.
func SnapshotsOff(in Input) string {
	if !snapshots(in.Pipeline) {
		return ""
	}
	if in.Facts.NoSnapshots != "" {
		return in.Facts.NoSnapshots
	}
	volume := in.Pipeline.CheckpointVolume()
	if volume != nil && volume.AccessMode == v1alpha1.AccessReadWriteMany && in.Pipeline.Spec.Backup.Snapshot.VolumeSnapshotClassName == "" {
		// EFS and NFS, behind most of them, take none, and a job that fails every
		// twelve hours would only teach people to pass over alerts.
		return "the volume is ReadWriteMany, which most drivers cannot snapshot; where yours can, name its class in spec.backup.snapshot.volumeSnapshotClassName"
	}
	return ""
}

type namedSchedule struct {
	field    string
	schedule v1alpha1.CronSchedule
	zone     string
}

// schedules lists every schedule of the spec with the path of its field.
func schedules(p *v1alpha1.SparkPipeline) []namedSchedule {
	b := p.Spec.Backup
	out := []namedSchedule{
		{"spec.backup.checkpoint.schedule", b.Checkpoint.Schedule, ""},
		{"spec.backup.snapshot.schedule", b.Snapshot.Schedule, ""},
		{"spec.backup.eventLogArchive.schedule", b.EventLogArchive.Schedule, ""},
		{"spec.backup.velero.schedule", b.Velero.Schedule, ""},
		{"spec.backup.drill.schedule", b.Drill.Schedule, ""},
	}
	for i, s := range p.Spec.Scaling.Schedules {
		at := "spec.scaling.schedules[" + strconv.Itoa(i) + "]."
		out = append(out, namedSchedule{at + "start", s.Start, s.TimeZone}, namedSchedule{at + "end", s.End, s.TimeZone})
	}
	for i, w := range p.Spec.MaintenanceWindows {
		out = append(out, namedSchedule{"spec.maintenanceWindows[" + strconv.Itoa(i) + "].start", w.Start, w.TimeZone})
	}
	return out
}

// longestGap is the longest time between two runs of a schedule. It is measured
// from a fixed day on, so the same schedule always gives the same answer.
func longestGap(field string, schedule v1alpha1.CronSchedule, zone string) (time.Duration, error) {
	if zone == "" {
		zone = "UTC"
	}
	if _, err := time.LoadLocation(zone); err != nil {
		return 0, &InvalidError{Field: field, Found: fmt.Sprintf("time zone %q", zone), Allowed: "a name of the IANA time zone database, such as Europe/Berlin"}
	}
	parsed, err := cron.ParseStandard("TZ=" + zone + " " + string(schedule))
	if err != nil {
		return 0, &InvalidError{Field: field, Found: strconv.Quote(string(schedule)), Allowed: `five fields of cron, such as "0 */6 * * *" (` + err.Error() + ")"}
	}
	const runs = 400
	at := parsed.Next(time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC))
	if at.IsZero() {
		return 0, &InvalidError{Field: field, Found: strconv.Quote(string(schedule)), Allowed: "a schedule that runs at least once in five years"}
	}
	var longest time.Duration
	for range runs {
		next := parsed.Next(at)
		if next.IsZero() {
			break
		}
		longest, at = max(longest, next.Sub(at)), next
	}
	return longest, nil
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"errors"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// scheduled is a pipeline with the reference schedules.
func scheduled(change func(*v1alpha1.SparkPipelineSpec)) *v1alpha1.SparkPipeline {
	p := &v1alpha1.SparkPipeline{}
	b := &p.Spec.Backup
	b.Checkpoint = v1alpha1.CheckpointBackup{Schedule: "0 */6 * * *", Retention: "168h"}
	b.Snapshot = v1alpha1.SnapshotBackup{State: v1alpha1.StateEnabled, Schedule: "0 */12 * * *", Retention: "168h"}
	b.EventLogArchive.Schedule, b.Velero.Schedule, b.Drill.Schedule = "0 2 * * *", "0 3 * * *", "0 4 1 */3 *"
	p.Spec.Recovery.Objectives = v1alpha1.Objectives{
		Volume: v1alpha1.Objective{RTO: "15m", RPO: "12h"}, Cluster: v1alpha1.Objective{RTO: "30m", RPO: "6h"}}
	p.Spec.ObjectStore.Buckets.Backups = "acme-backups"
	change(&p.Spec)
	return p
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*v1alpha1.SparkPipelineSpec)
		want   string // The one problem; empty for none.
	}{
		{"the reference numbers meet their objectives", func(*v1alpha1.SparkPipelineSpec) {}, ""},
		{"backups too seldom for the cluster's objective", func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Checkpoint.Schedule = "0 */8 * * *" },
			"spec.backup.checkpoint.schedule: up to 8h0m0s pass between two runs, and spec.recovery.objectives.cluster.rpo allows 6h"},
		{"the night counts too", func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Checkpoint.Schedule = "0 8-20 * * *" },
			"spec.backup.checkpoint.schedule: up to 12h0m0s pass"},
		{"snapshots too seldom for the volume's objective", func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Snapshot.Schedule = "0 0 * * *" },
			"spec.backup.snapshot.schedule: up to 24h0m0s pass between two runs, and spec.recovery.objectives.volume.rpo allows 12h"},
		{"retention of less than two runs", func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Checkpoint.Retention = "11h" },
			"spec.backup.checkpoint.retention: 11h is less than twice the 6h0m0s"},
		{"no bucket, nothing to judge", func(s *v1alpha1.SparkPipelineSpec) {
			s.ObjectStore.Buckets.Backups, s.Backup.Checkpoint.Schedule = "", "0 0 * * *"
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems, err := Judge(scheduled(c.change))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(problems) > 0:
				t.Errorf("got %v", problems)
			case c.want != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want)):
				t.Errorf("got %v, want %q", problems, c.want)
			}
		})
	}
}

func TestJudgeNamesWhatItCannotRead(t *testing.T) {
	for field, change := range map[string]func(*v1alpha1.SparkPipelineSpec){
		"spec.backup.drill.schedule":      func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Drill.Schedule = "every day" },
		"spec.backup.checkpoint.schedule": func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Checkpoint.Schedule = "61 * * * *" },
		"spec.backup.velero.schedule":     func(s *v1alpha1.SparkPipelineSpec) { s.Backup.Velero.Schedule = "0 0 30 2 *" },
		"spec.scaling.schedules[0].end": func(s *v1alpha1.SparkPipelineSpec) {
			s.Scaling.Schedules = []v1alpha1.ScalingSchedule{{Start: "0 8 * * *", End: "x"}}
		},
		"spec.maintenanceWindows[0].start": func(s *v1alpha1.SparkPipelineSpec) {
			s.MaintenanceWindows = []v1alpha1.MaintenanceWindow{{Start: "0 8 * * *", TimeZone: "Mars/Olympus"}}
		},
	} {
		_, err := Judge(scheduled(change))
		invalid, ok := errors.AsType[*InvalidError](err)
		if !ok || invalid.Field != field || invalid.Found == "" || invalid.Allowed == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

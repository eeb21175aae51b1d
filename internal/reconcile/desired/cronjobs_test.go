// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// jobs are the CronJobs of all cases by name.
func jobs(t *testing.T, in desired.Input) map[string]batchv1.CronJob {
	t.Helper()
	out := map[string]batchv1.CronJob{}
	for _, o := range rendered(t, in.Pipeline.Name, in) {
		if o.Object.GetKind() == "CronJob" {
			name := o.Object.GetName()
			out[strings.TrimPrefix(name, in.Pipeline.Name+"-")] = child[batchv1.CronJob](t, in, "cronjobs", name)
		}
	}
	return out
}

// A job whose input is there runs, one at a time and not for ever. Without the storage's
// help, or without the command in the agent's image, it is suspended and not gone.
func TestJobsRunWhereTheirInputIs(t *testing.T) {
	in := caseNamed(t, "minimal")
	if jobs := jobs(t, in); !*jobs["snapshot"].Spec.Suspend || !strings.Contains(desired.SnapshotsOff(in), "volumeSnapshotClassName") {
		t.Errorf("a volume of many nodes without a class is snapshotted; said is %q", desired.SnapshotsOff(in))
	}
	in.Pipeline.Spec.Checkpoint.Volume = &v1alpha1.CheckpointVolume{AccessMode: v1alpha1.AccessReadWriteOnce}
	if *jobs(t, in)["snapshot"].Spec.Suspend {
		t.Error("a volume of one node is not snapshotted")
	}
	in = caseNamed(t, "minimal")
	in.Pipeline.Spec.Backup.Snapshot.VolumeSnapshotClassName = "ceph"
	for name, j := range jobs(t, in) {
		if *j.Spec.Suspend || j.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || *j.Spec.JobTemplate.Spec.ActiveDeadlineSeconds > 6*60*60 || *j.Spec.StartingDeadlineSeconds > 600 {
			t.Errorf("%s: %+v", name, j.Spec)
		}
	}
	in.Facts.NoSnapshots = "the storage cannot"
	for name, j := range jobs(t, in) {
		if *j.Spec.Suspend != (name == "snapshot") {
			t.Errorf("%s is suspended: %t", name, *j.Spec.Suspend)
		}
	}
	if desired.SnapshotsOff(in) != "the storage cannot" {
		t.Errorf("said is %q", desired.SnapshotsOff(in))
	}
	in.Pipeline.Spec.Backup.Snapshot.State = "Disabled"
	if _, there := jobs(t, in)["snapshot"]; there || desired.SnapshotsOff(in) != "" {
		t.Error("snapshots are there, or missed, that nobody asked for")
	}
	in = caseNamed(t, "minimal")
	in.Defaults.AgentCommands = nil
	for name, j := range jobs(t, in) {
		if !*j.Spec.Suspend {
			t.Errorf("%s runs a command that the image does not have", name)
		}
	}
}

// A drill has a volume of its own, like the checkpoint's, that goes with its pod; the
// checkpoint's claim is in no reach of it, and all others only read that.
func TestWhatJobsMount(t *testing.T) {
	drills := 0
	for _, c := range cases(t) {
		claim := desired.CheckpointClaim(c.Input)
		for name, j := range jobs(t, c.Input) {
			spec := j.Spec.JobTemplate.Spec.Template.Spec
			for _, v := range spec.Volumes {
				if p := v.PersistentVolumeClaim; p != nil && p.ClaimName == claim && (name == "drill" || !p.ReadOnly) {
					t.Errorf("%s: %s mounts %+v", c.Name, name, p)
				}
			}
			i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil })
			if (i >= 0) != (name == "drill") {
				t.Fatalf("%s: %s has the volumes %+v", c.Name, name, spec.Volumes)
			}
			if name != "drill" {
				continue
			}
			drills++
			scratch := spec.Volumes[i].Ephemeral.VolumeClaimTemplate.Spec
			size := scratch.Resources.Requests[corev1.ResourceStorage]
			if v := c.Input.Pipeline.CheckpointVolume(); v != nil && (size.Cmp(*v.Size) != 0 || string(scratch.AccessModes[0]) != string(v.AccessMode) ||
				(v.StorageClassName != "") != (scratch.StorageClassName != nil)) {
				t.Errorf("%s: the scratch volume is %+v and the checkpoint's %+v", c.Name, scratch, v)
			}
			command := spec.Containers[0].Command
			if mounts(spec.Containers[0])["/scratch"] != spec.Volumes[i].Name || !slices.Contains(command, "/scratch") || *j.Spec.JobTemplate.Spec.BackoffLimit != 0 {
				t.Errorf("%s: %v, %v", c.Name, command, mounts(spec.Containers[0]))
			}
		}
	}
	if drills < 3 {
		t.Errorf("only %d drills were looked at", drills)
	}
}

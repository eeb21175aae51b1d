// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=batch,resources=cronjobs,verbs=get;list;watch;create;patch;delete

// cronjobs run the agent: they go on while the operator is down, and
// `kubectl create job --from=cronjob/<pipeline>-backup` takes a backup now. A job
// whose input the spec lacks is not there.
func cronjobs(in Input) ([]Object, error) {
	p := in.Pipeline
	b := p.Spec.Backup
	onVolume := p.Spec.Checkpoint.Location == ""
	var out []Object
	if backsUp(p) {
		out = append(out, cronjob(in, "backup", b.Checkpoint.Schedule, 5*60*60, checkpointMount(in, true)))
	}
	if snapshots(p) {
		out = append(out, cronjob(in, "snapshot", b.Snapshot.Schedule, 60*60, checkpointMount(in, true)))
	}
	if p.Spec.ObjectStore.Buckets.Archives != "" {
		logs := mount{claim: eventLogClaim(p), name: "eventlog", path: eventLogPath}
		out = append(out, cronjob(in, "archive", b.EventLogArchive.Schedule, 6*60*60, &logs))
	}
	if backsUp(p) && b.Drill.State == v1alpha1.StateEnabled && onVolume {
		out = append(out, cronjob(in, "drill", b.Drill.Schedule, 6*60*60, nil))
	}
	return out, nil
}

// asksKafka says whether a command records or judges what brokers say.
func asksKafka(command string) bool { return command == "backup" || command == "drill" }

type mount struct {
	claim, name, path string
	readOnly          bool
}

func checkpointMount(in Input, readOnly bool) *mount {
	if CheckpointClaim(in) == "" {
		return nil
	}
	return &mount{claim: CheckpointClaim(in), name: "checkpoint", path: in.Pipeline.Spec.Checkpoint.MountPath, readOnly: readOnly}
}

// cronjob runs one command of the agent on a schedule, at most one at a time and
// at most for the given number of seconds.
func cronjob(in Input, command string, schedule v1alpha1.CronSchedule, seconds int64, m *mount) *batchv1.CronJob {
	p := in.Pipeline
	c := agentContainer(in, command)
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	volumes := append(agentVolumes(p), emptyDir("tmp"))
	if m != nil {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: m.name, MountPath: m.path, ReadOnly: m.readOnly})
		volumes = append(volumes, claimVolume(m.name, m.claim, m.readOnly))
	}
	if asksKafka(command) {
		kafkaVolumes, kafkaMounts := kafkaSecrets(p)
		volumes, c.VolumeMounts = append(volumes, kafkaVolumes...), append(c.VolumeMounts, kafkaMounts...)
	}
	// The files are Spark's: its group may read them.
	security := podSecurity(sparkUser)
	return &batchv1.CronJob{ObjectMeta: named(in, command), Spec: batchv1.CronJobSpec{
		Schedule: string(schedule), TimeZone: new("Etc/UTC"),
		ConcurrencyPolicy:          batchv1.ForbidConcurrent,
		StartingDeadlineSeconds:    new(int64(600)),
		SuccessfulJobsHistoryLimit: new(int32(3)), FailedJobsHistoryLimit: new(int32(3)),
		Suspend: new(!slices.Contains(in.Defaults.AgentCommands, command)),
		JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(2)), ActiveDeadlineSeconds: &seconds, TTLSecondsAfterFinished: new(int32(7 * 24 * 60 * 60)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: componentLabels(p, componentAgent)},
				Spec: corev1.PodSpec{
					ServiceAccountName: p.Name + "-agent",
					// The agent talks to the API server for snapshots alone.
					AutomountServiceAccountToken: new(command == "snapshot" || command == "drill"),
					SecurityContext:              security, RestartPolicy: corev1.RestartPolicyNever,
					Containers: []corev1.Container{c}, Volumes: volumes,
				},
			},
		}},
	}}
}

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
	var out []Object
	if backsUp(p) {
		out = append(out, cronjob(in, "backup", b.Checkpoint.Schedule, 5*60*60, checkpointMount(in, true)))
	}
	if snapshots(p) {
		job := cronjob(in, "snapshot", b.Snapshot.Schedule, 60*60, checkpointMount(in, true))
		if SnapshotsOff(in) != "" {
			job.Spec.Suspend = new(true)
		}
		// The agent asks the API server for snapshots alone.
		job.Spec.JobTemplate.Spec.Template.Spec.AutomountServiceAccountToken = new(true)
		giveUp(job, snapshotFinal)
		out = append(out, job)
	}
	if p.Spec.ObjectStore.Buckets.Archives != "" {
		logs := mount{volume: claimVolume("eventlog", eventLogClaim(p), false), path: eventLogPath}
		out = append(out, cronjob(in, "archive", b.EventLogArchive.Schedule, 6*60*60, &logs))
	}
	if backsUp(p) && b.Drill.State == v1alpha1.StateEnabled {
		out = append(out, drill(in))
	}
	return out, nil
}

// asksKafka says whether a command records or judges what brokers say.
func asksKafka(command string) bool { return command == "backup" || command == "drill" }

// drill restores the newest point to a volume of its own and measures. Its pod is
// kept for a day, for people to read what it said, since the volume stays as long;
// so there is one pod of those that succeeded and one of those that did not.
func drill(in Input) *batchv1.CronJob {
	p := in.Pipeline
	job := cronjob(in, "drill", p.Spec.Backup.Drill.Schedule, 6*60*60, &mount{volume: scratch(in), path: scratchPath})
	c := &job.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	c.Command = append(c.Command, "--scratch", scratchPath, "--objective", string(p.Spec.Recovery.Objectives.Cluster.RTO))
	job.Spec.SuccessfulJobsHistoryLimit, job.Spec.FailedJobsHistoryLimit = new(int32(1)), new(int32(1))
	job.Spec.JobTemplate.Spec.BackoffLimit = new(int32(0))
	job.Spec.JobTemplate.Spec.TTLSecondsAfterFinished = new(int32(24 * 60 * 60))
	giveUp(job, nil)
	return job
}

const scratchPath = "/scratch"

// snapshotFinal are the exit codes of the agent's snapshot that another try a minute
// later would end with too: docs/agent.md.
var snapshotFinal = []int32{2, 3, 20, 21, 22, 60, 61, 62, 63, 64, 65, 66, 67}

// giveUp ends a job at once with the given exit codes, and does not count a pod
// against it that its node had to put out.
func giveUp(job *batchv1.CronJob, codes []int32) {
	policy := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action:          batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
	}}}
	if len(codes) > 0 {
		policy.Rules = append(policy.Rules, batchv1.PodFailurePolicyRule{
			Action:      batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: codes},
		})
	}
	job.Spec.JobTemplate.Spec.PodFailurePolicy = policy
}

type mount struct {
	volume   corev1.Volume
	path     string
	readOnly bool
}

func checkpointMount(in Input, readOnly bool) *mount {
	if CheckpointClaim(in) == "" {
		return nil
	}
	return &mount{volume: claimVolume(volumeCheckpoint, CheckpointClaim(in), readOnly), path: in.Pipeline.Spec.Checkpoint.MountPath, readOnly: readOnly}
}

// cronjob runs one command of the agent on a schedule, at most one at a time and
// at most for the given number of seconds.
func cronjob(in Input, command string, schedule v1alpha1.CronSchedule, seconds int64, m *mount) *batchv1.CronJob {
	p := in.Pipeline
	c := agentContainer(in, command)
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	volumes := append(agentVolumes(p), emptyDir("tmp"))
	if m != nil {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: m.volume.Name, MountPath: m.path, ReadOnly: m.readOnly})
		volumes = append(volumes, m.volume)
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
					ServiceAccountName:           p.Name + "-agent",
					AutomountServiceAccountToken: new(false),
					SecurityContext:              security, RestartPolicy: corev1.RestartPolicyNever,
					Containers: []corev1.Container{c}, Volumes: volumes,
				},
			},
		}},
	}}
}

// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

var checkKey = client.ObjectKey{Namespace: "data", Name: "orders-check-abcde"}

// checkPod is the pod of a check, as the cache holds it.
func checkPod(t *testing.T, status corev1.PodStatus) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders-check-abcde-x",
		Labels: map[string]string{batchv1.JobNameLabel: checkKey.Name, desired.LabelWorkload: "orders"}}, Status: status}
	return trimmed(t, pod, TrimPod)
}

func trimmed[T any](t *testing.T, o T, trim func(any) (any, error)) T {
	t.Helper()
	kept, err := trim(o)
	if err != nil {
		t.Fatal(err)
	}
	// Informers may call a transform twice on one object.
	again, err := trim(kept)
	if err != nil {
		t.Fatal(err)
	}
	return again.(T)
}

func container(c corev1.ContainerStatus) corev1.PodStatus {
	c.Name = "check"
	return corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{c}}
}

func terminated(code int32, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", Message: message}}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func TestCheckOfTheBuckets(t *testing.T) {
	const said = `{"command":"check","code":12,"error":"check: s3:PutObject is denied in bucket acme-backups"}`
	for _, test := range []struct {
		name      string
		job       bool
		succeeded int32
		pod       *corev1.PodStatus
		want      Check
	}{
		{"is pending without a job", false, 0, nil, Check{Pending: true}},
		{"is pending without a pod", true, 0, nil, Check{Pending: true}},
		{"is pending while its container is made", true, 0, new(container(corev1.ContainerStatus{State: waiting("ContainerCreating", "")})), Check{Pending: true}},
		{"has passed", true, 1, nil, Check{Passed: true}},
		{"has failed", true, 0, new(container(corev1.ContainerStatus{State: terminated(12, said)})),
			Check{Message: "check: s3:PutObject is denied in bucket acme-backups"}},
		{"still says what it said while it waits for its next try", true, 0,
			new(container(corev1.ContainerStatus{State: waiting("CrashLoopBackOff", "back-off 40s"), LastTerminationState: terminated(12, said)})),
			Check{Message: "check: s3:PutObject is denied in bucket acme-backups"}},
		{"tells the log's end of an agent that crashed", true, 0, new(container(corev1.ContainerStatus{State: terminated(2, "panic: oh\n")})), Check{Message: "panic: oh"}},
		{"tells the exit code when nothing else is known", true, 0, new(container(corev1.ContainerStatus{State: terminated(137, "")})), Check{Message: "exit code 137, Error"}},
		{"tells of an image that cannot be had", true, 0, new(container(corev1.ContainerStatus{State: waiting("ImagePullBackOff", "not found")})),
			Check{Message: "container check: ImagePullBackOff: not found"}},
		{"tells of a pod that no node takes", true, 0, &corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available"}}},
			Check{Message: "no node takes the pod: 0/3 nodes are available"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			builder := fake.NewClientBuilder()
			if test.job {
				job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: checkKey.Namespace, Name: checkKey.Name},
					Status: batchv1.JobStatus{Succeeded: test.succeeded}}
				builder.WithObjects(trimmed(t, job, TrimJob))
			}
			if test.pod != nil {
				builder.WithObjects(checkPod(t, *test.pod))
			}
			got, err := Observer{Cache: builder.Build()}.Check(context.Background(), checkKey)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestLastBackupIsTheLastSuccessOfTheCronJob(t *testing.T) {
	p := &v1alpha1.SparkPipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders"}}
	at := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local))
	for _, test := range []struct {
		name string
		last *metav1.Time
	}{{"never", nil}, {"once", &at}} {
		job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders-backup"},
			Status: batchv1.CronJobStatus{LastSuccessfulTime: test.last}}
		got, err := Observer{Cache: fake.NewClientBuilder().WithObjects(trimmed(t, job, TrimCronJob)).Build()}.LastBackup(context.Background(), p)
		if err != nil || !got.Equal(test.last) {
			t.Errorf("%s: got %v, %v", test.name, got, err)
		}
	}
	if got, err := (Observer{Cache: fake.NewClientBuilder().Build()}).LastBackup(context.Background(), p); got != nil || err != nil {
		t.Errorf("without a CronJob: %v, %v", got, err)
	}
}

func TestDriverThatCannotStartSaysWhy(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{desired.LabelPipeline: "orders", desired.LabelSparkRole: "driver"}},
		Status: corev1.PodStatus{Phase: corev1.PodPending,
			InitContainerStatuses: []corev1.ContainerStatus{{Name: desired.GuardContainer, State: waiting("CreateContainerConfigError", `secret "orders-s3" not found`)}},
			ContainerStatuses:     []corev1.ContainerStatus{{Name: "spark-kubernetes-driver", State: waiting("PodInitializing", "")}}}}
	if got := blocked(trimmed(t, pod, TrimPod)); got != `container guard: CreateContainerConfigError: secret "orders-s3" not found` {
		t.Errorf("blocked by %q", got)
	}
	pod.Status.InitContainerStatuses[0].State = waiting("PodInitializing", "")
	if got := blocked(trimmed(t, pod, TrimPod)); got != "" {
		t.Errorf("a pod on its way is blocked by %q", got)
	}
}

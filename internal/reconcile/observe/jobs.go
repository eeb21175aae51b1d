// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// TrimCronJob keeps of a CronJob when it last succeeded.
func TrimCronJob(o any) (any, error) {
	job, ok := o.(*batchv1.CronJob)
	if !ok {
		return o, nil
	}
	return &batchv1.CronJob{TypeMeta: job.TypeMeta, ObjectMeta: trimMeta(job.ObjectMeta),
		Status: batchv1.CronJobStatus{LastSuccessfulTime: job.Status.LastSuccessfulTime}}, nil
}

// TrimJob keeps of a Job whether it succeeded.
func TrimJob(o any) (any, error) {
	job, ok := o.(*batchv1.Job)
	if !ok {
		return o, nil
	}
	return &batchv1.Job{TypeMeta: job.TypeMeta, ObjectMeta: trimMeta(job.ObjectMeta),
		Status: batchv1.JobStatus{Succeeded: job.Status.Succeeded}}, nil
}

// LastBackup is when the pipeline's CronJob of backups last succeeded; nil: never,
// or there is none. A job that was made from it by hand counts too.
func (o Observer) LastBackup(ctx context.Context, p *v1alpha1.SparkPipeline) (*metav1.Time, error) {
	job := &batchv1.CronJob{}
	err := o.Cache.Get(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name + "-backup"}, job)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the CronJob of backups: %w", err)
	}
	return job.Status.LastSuccessfulTime, nil
}

// Check is how the check of the buckets does.
type Check struct {
	// Passed: nothing is missing.
	Passed bool
	// Pending: it has not told anything yet.
	Pending bool
	// Message is what the agent said last of what is missing.
	Message string
}

// Check looks at the Job of the given name, and at its pod for what it said.
func (o Observer) Check(ctx context.Context, key client.ObjectKey) (Check, error) {
	job := &batchv1.Job{}
	err := o.Cache.Get(ctx, key, job)
	switch {
	case apierrors.IsNotFound(err):
		return Check{Pending: true}, nil
	case err != nil:
		return Check{}, fmt.Errorf("get the check of the buckets: %w", err)
	case job.Status.Succeeded > 0:
		return Check{Passed: true}, nil
	}
	c := Check{Pending: true}
	pods := &corev1.PodList{}
	err = o.Cache.List(ctx, pods, client.InNamespace(key.Namespace), client.MatchingLabels{batchv1.JobNameLabel: key.Name})
	if err != nil {
		return Check{}, fmt.Errorf("list pods of the check of the buckets: %w", err)
	}
	for i := range pods.Items {
		if why := unfinished(&pods.Items[i]); why != "" {
			c.Pending, c.Message = false, why
		}
	}
	return c, nil
}

// unfinished is why a pod of the agent has not succeeded: what its container said
// when it last ended, or what keeps it from its start.
func unfinished(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		for _, state := range []corev1.ContainerState{c.State, c.LastTerminationState} {
			if t := state.Terminated; t != nil && t.ExitCode != 0 {
				return lastError(t)
			}
		}
	}
	return blocked(pod)
}

// lastError reads the agent's last words, which are JSON where the agent got that
// far.
func lastError(t *corev1.ContainerStateTerminated) string {
	var said lastWords
	if err := json.Unmarshal([]byte(t.Message), &said); err == nil && said.Error != "" {
		return said.Error
	}
	if text := strings.TrimSpace(t.Message); text != "" {
		return text
	}
	return fmt.Sprintf("exit code %d, %s", t.ExitCode, t.Reason)
}

// blocked says what keeps a pod from starting and will not pass by itself: no node
// takes it, or a container cannot be made. Empty: nothing does.
func blocked(pod *corev1.Pod) string {
	if why := unscheduled(pod); why != "" {
		return "no node takes the pod: " + why
	}
	for _, all := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range all {
			if w := c.State.Waiting; w != nil && !underWay[w.Reason] {
				return strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", c.Name, w.Reason, w.Message), ": ")
			}
		}
	}
	return ""
}

// underWay are reasons of the kubelet for a container that waits and is on its way.
var underWay = map[string]bool{"": true, "ContainerCreating": true, "PodInitializing": true, "CrashLoopBackOff": true}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// ChildCheck is the name of the registry's entry of the Job that checks buckets.
const ChildCheck = "check"

const commandCheck = "check"

// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete

// check is the Job that finds out, before anything depends on it, whether the
// credentials of the pipeline may do in each bucket what will be asked of them. A
// template of a Job is immutable, so its name carries a digest of all that it
// judges: another store, another bucket or another agent is another Job. It tries
// again until nothing is missing, with the pauses that the kubelet makes.
func check(in Input) ([]Object, error) {
	p := in.Pipeline
	if !slices.Contains(in.Defaults.AgentCommands, commandCheck) || p.Spec.ObjectStore.Buckets == (v1alpha1.BucketsSpec{}) {
		return nil, nil
	}
	c := agentContainer(in, commandCheck)
	c.Resources = small("20m", "64Mi")
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	pod := corev1.PodSpec{
		ServiceAccountName: p.Name + "-agent", AutomountServiceAccountToken: new(false),
		SecurityContext: podSecurity(sparkUser), RestartPolicy: corev1.RestartPolicyOnFailure,
		Containers: []corev1.Container{c}, Volumes: append(agentVolumes(p), emptyDir("tmp")),
	}
	name, err := checkName(p, pod)
	if err != nil {
		return nil, err
	}
	job := &batchv1.Job{ObjectMeta: named(in, name), Spec: batchv1.JobSpec{
		// The kubelet's restarts are what is counted against it.
		BackoffLimit: new(int32(1 << 30)),
		Template:     corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: observedLabels(p, componentAgent)}, Spec: pod},
	}}
	return []Object{job}, nil
}

// checkName is the role of the Job, at most 12 characters with its hyphen. The
// chance that two specs of one pipeline that follow each other share it is one in
// 33 million.
func checkName(p *v1alpha1.SparkPipeline, pod corev1.PodSpec) (string, error) {
	text, err := json.Marshal([]any{pod, p.Spec.ObjectStore, p.Spec.Checkpoint.Location})
	if err != nil {
		return "", fmt.Errorf("digest of the check of the buckets: %w", err)
	}
	sum := sha256.Sum256(text)
	return commandCheck + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:5], nil
}

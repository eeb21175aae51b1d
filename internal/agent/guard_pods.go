// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// submissionLabel is what Spark tells the pods of its submissions apart by.
const submissionLabel = "spark-app-selector"

// otherPods asks the API server for the live pods of a pipeline that another
// submission made. The driver's account may list pods: Spark needs that itself.
func otherPods(ctx context.Context, namespace, selector, submission string) ([]string, error) {
	restConfig, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return ofOthers(pods.Items, submission), nil
}

// ofOthers names the pods that have not ended and that another submission made.
func ofOthers(pods []corev1.Pod, submission string) []string {
	var out []string
	for i := range pods {
		pod := &pods[i]
		id := pod.Labels[submissionLabel]
		if id != "" && id != submission && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			out = append(out, pod.Name)
		}
	}
	slices.Sort(out)
	return out
}

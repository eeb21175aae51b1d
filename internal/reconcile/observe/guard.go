// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// Verdict is what the guard of a driver's pod has said.
type Verdict struct {
	// Refused: the driver may not start. Reason and Message say why.
	Refused         bool
	Reason, Message string
	// Committed is the newest committed batch of each root that the guard found
	// in order; path below the checkpoint's place -> batch.
	Committed map[string]int64
	// Ended is when the guard ended; zero: not known.
	Ended time.Time
}

// reasonUnjudged is shown when a guard ended without a reason of its own: it could
// not look, or it was killed.
const reasonUnjudged = "Unjudged"

// lastWords is what of the agent's termination message counts here.
type lastWords struct {
	Error  string `json:"error"`
	Result struct {
		Reason string `json:"reason"`
		Roots  []struct {
			Path       string `json:"path"`
			LastCommit *int64 `json:"lastCommit"`
		} `json:"roots"`
	} `json:"result"`
}

// verdict reads what the guard of a pod has said; nil: nothing yet.
func verdict(pod *corev1.Pod) *Verdict {
	for _, c := range pod.Status.InitContainerStatuses {
		if t := c.State.Terminated; c.Name == desired.GuardContainer && t != nil {
			return read(t)
		}
	}
	return nil
}

func read(t *corev1.ContainerStateTerminated) *Verdict {
	var said lastWords
	v := &Verdict{Refused: t.ExitCode != 0, Committed: map[string]int64{}, Ended: t.FinishedAt.Time}
	if err := json.Unmarshal([]byte(t.Message), &said); err != nil {
		said = lastWords{Error: t.Message}
	}
	if v.Refused {
		v.Reason, v.Message = said.Result.Reason, said.Error
		if v.Reason == "" {
			v.Reason = reasonUnjudged
		}
		if v.Message == "" {
			v.Message = fmt.Sprintf("exit code %d", t.ExitCode)
		}
		return v
	}
	for _, root := range said.Result.Roots {
		if root.LastCommit != nil && root.Path != "" {
			v.Committed[root.Path] = *root.LastCommit
		}
	}
	return v
}

// WatchedSince is since when the Deployment that watches a checkpoint has been
// available without a break; zero: it is not. It is ready only while each query has
// committed a batch.
func (o Observer) WatchedSince(ctx context.Context, key client.ObjectKey) (time.Time, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if err := o.Cache.Get(ctx, key, live); err != nil {
		if apierrors.IsNotFound(err) {
			return time.Time{}, nil
		}
		return time.Time{}, fmt.Errorf("look at the watch of the checkpoint: %w", err)
	}
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, c := range conditions {
		c, ok := c.(map[string]any)
		if !ok || c["type"] != string(appsv1.DeploymentAvailable) || c["status"] != string(corev1.ConditionTrue) {
			continue
		}
		text, _ := c["lastTransitionTime"].(string)
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return time.Time{}, nil // Nobody but the API server wrote it, so it cannot be.
		}
		return since, nil
	}
	return time.Time{}, nil
}

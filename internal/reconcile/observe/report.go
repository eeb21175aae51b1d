// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// Watch is the pod that watches a checkpoint.
type Watch struct {
	UID types.UID
	// Address that it answers at; empty: it has none yet.
	Address string
	// Ready is what it says about the checkpoint in one word.
	Ready bool
}

// Watch looks for the pod that watches the checkpoint of p; its zero value says
// that there is none.
func (o Observer) Watch(ctx context.Context, p *v1alpha1.SparkPipeline) (Watch, error) {
	pods := &corev1.PodList{}
	if err := o.Cache.List(ctx, pods, client.InNamespace(p.WorkloadNamespace()), client.MatchingLabels(desired.WatchLabels(p))); err != nil {
		return Watch{}, fmt.Errorf("list pods that watch the checkpoint: %w", err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.DeletionTimestamp == nil && Live(pod) {
			return Watch{UID: pod.UID, Address: pod.Status.PodIP, Ready: podReady(pod)}, nil
		}
	}
	return Watch{}, nil
}

// Report is what of the watch's /status counts here.
type Report struct {
	State v1alpha1.ProgressState
	// Since when it stands still; zero in the other states.
	Since time.Time
	// Problem of the state itself: its reason and message; empty: there is none.
	Reason, Message string
}

// formatVersion of the reports that are understood.
const formatVersion = 1

// unsound are the reasons of the watch that say that the state itself is in
// danger, not only its progress.
var unsound = []string{"SecondWriter", "Damaged", "Replaced", "Older", "OtherOwner"}

// ReadReport reads the body of /status.
func ReadReport(body []byte) (*Report, error) {
	var said struct {
		FormatVersion int `json:"formatVersion"`
		Progress      struct {
			State string    `json:"state"`
			Since time.Time `json:"since"`
		} `json:"progress"`
		Problems []struct {
			Query, Reason, Message string
		} `json:"problems"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, fmt.Errorf("read what the watch says: %w", err)
	}
	if said.FormatVersion != formatVersion {
		return nil, fmt.Errorf("the watch speaks version %d of its report; this operator knows version %d", said.FormatVersion, formatVersion)
	}
	r := &Report{State: v1alpha1.ProgressState(said.Progress.State)}
	switch r.State {
	case v1alpha1.ProgressStalled:
		r.Since = said.Progress.Since
	case v1alpha1.ProgressAdvancing, v1alpha1.ProgressIdle, v1alpha1.ProgressUnknown:
	default:
		return nil, fmt.Errorf("the watch tells of progress %q, which this operator does not know", r.State)
	}
	for _, p := range said.Problems {
		if slices.Contains(unsound, p.Reason) {
			r.Reason, r.Message = p.Reason, p.Message
			if p.Query != "" {
				r.Message = "query " + p.Query + ": " + p.Message
			}
			break
		}
	}
	return r, nil
}

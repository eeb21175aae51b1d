// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

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
	v := &Verdict{Refused: t.ExitCode != 0, Committed: map[string]int64{}}
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

// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func podWithGuard(code int32, message string) *corev1.Pod {
	return &corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
		{Name: "jmx-agent", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "not the guard"}}},
		{Name: "guard", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}}},
	}}}
}

func TestWhatTheGuardSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		code    int32
		message string
		want    Verdict
	}{
		"passed": {0, `{"command":"guard","code":0,"result":{"roots":[{"path":"agg","lastOffset":5,"lastCommit":4},{"path":"new","lastOffset":null,"lastCommit":null}]}}`,
			Verdict{Committed: map[string]int64{"agg": 4}}},
		"refused": {45, `{"command":"guard","code":45,"error":"Empty: root agg is empty","result":{"reason":"Empty","roots":[{"path":"agg","lastCommit":9}]}}`,
			Verdict{Refused: true, Reason: "Empty", Message: "Empty: root agg is empty"}},
		"could not look":  {40, `{"command":"guard","code":40,"error":"no route to host"}`, Verdict{Refused: true, Reason: "Unjudged", Message: "no route to host"}},
		"no JSON":         {1, "exec /agent: no such file", Verdict{Refused: true, Reason: "Unjudged", Message: "exec /agent: no such file"}},
		"killed":          {137, "", Verdict{Refused: true, Reason: "Unjudged", Message: "exit code 137"}},
		"passed, no word": {0, "", Verdict{}},
	} {
		t.Run(name, func(t *testing.T) {
			trimmed, err := TrimPod(podWithGuard(tt.code, tt.message))
			if err != nil {
				t.Fatal(err)
			}
			got := verdict(trimmed.(*corev1.Pod))
			if got == nil || got.Refused != tt.want.Refused || got.Reason != tt.want.Reason || got.Message != tt.want.Message || !maps.Equal(got.Committed, tt.want.Committed) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
	if verdict(&corev1.Pod{}) != nil {
		t.Error("a pod without a guard has said something")
	}
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// guardFiles writes a configuration and orders for a checkpoint in dir.
func guardFiles(t *testing.T, dir, orders string) []string {
	t.Helper()
	conf := tree(t, map[string]string{
		"pipeline.json": `{"pipeline":{"namespace":"data","name":"orders","uid":"u1"},"workloadNamespace":"data","sparkVersion":"4.1.4","root":"` + dir + `","eventLogs":"","objectStore":{},"backup":{}}`,
		"orders.json":   orders,
	})
	return []string{"guard", "--config", filepath.Join(conf, "pipeline.json"), "--orders", filepath.Join(conf, "orders.json")}
}

const plainOrders = `{"pipeline":{"namespace":"data","name":"orders","uid":"u1"}`

func TestGuardCodesAndLastWords(t *testing.T) {
	damaged := rootFiles()
	damaged["commits/1"] = "zzz"
	for name, tt := range map[string]struct {
		files  map[string]string
		orders string
		code   int
	}{
		"healthy":     {prefixed("agg/", rootFiles()), plainOrders + `,"roots":{"agg":1}}`, CodeOK},
		"new":         {nil, plainOrders + `}`, CodeOK},
		"empty":       {nil, plainOrders + `,"roots":{"agg":1}}`, CodeGuardEmpty},
		"older":       {prefixed("agg/", rootFiles()), plainOrders + `,"roots":{"agg":2}}`, CodeGuardOlder},
		"damaged":     {prefixed("agg/", damaged), plainOrders + `}`, CodeGuardDamaged},
		"locked":      {prefixed("agg/", map[string]string{".sparkpipeline-lock": "{}", "metadata": "{}", "offsets/0": "x"}), plainOrders + `}`, CodeGuardLocked},
		"not mounted": {prefixed("agg/", rootFiles()), plainOrders + `,"mountPath":"/mnt/checkpoints"}`, CodeGuardNotMounted},
		"no orders":   {nil, `{}`, CodeGuardUnjudged},
		"bad orders":  {nil, plainOrders + `,"rots":{}}`, CodeGuardUnjudged},
	} {
		t.Run(name, func(t *testing.T) {
			r := runAgent(t, nil, guardFiles(t, tree(t, tt.files), tt.orders)...)
			if r.code != tt.code {
				t.Fatalf("exit code %d: %s", r.code, r.errOut)
			}
			if r.last.Code != tt.code || r.last.Command != "guard" || (tt.code != CodeOK) != (r.last.Error != "") {
				t.Errorf("last words %+v", r.last)
			}
		})
	}
}

// What is not the volume is left alone: a guard that writes there would make the
// next one believe that the checkpoint is there.
func TestGuardMakesNothingOnWhatIsNotMounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	r := runAgent(t, nil, guardFiles(t, dir, plainOrders+`,"mountPath":"`+dir+`"}`)...)
	if _, err := os.Stat(dir); r.code != CodeGuardNotMounted || err == nil {
		t.Errorf("exit code %d, directory made: %v", r.code, err == nil)
	}
}

// A healthy root of ten thousand files is judged while the start of a driver does
// not feel it; what is counted here are files, since seconds depend on the machine.
func TestGuardReadsNoStateFile(t *testing.T) {
	files := prefixed("agg/", rootFiles())
	for _, name := range []string{"agg/state/0/0/1.delta", "agg/state/0/0/2.delta"} {
		files[name] = "this is no delta, and nobody looks"
	}
	r := runAgent(t, nil, guardFiles(t, tree(t, files), plainOrders+`}`)...)
	if r.code != CodeOK {
		t.Errorf("exit code %d: %s", r.code, r.errOut)
	}
}

func TestGuardWaitsForPodsOfOtherSubmissions(t *testing.T) {
	t.Setenv(submissionVariable, "spark-new")
	args := guardFiles(t, tree(t, prefixed("agg/", rootFiles())), plainOrders+`,"podSelector":"sparkpipeline.dev/pipeline=orders"}`)
	var asked []string
	run := func(left []string) int {
		g := &guardCommand{agent: newAgent(Environment{Out: os.Stdout, ErrOut: os.Stderr}), wait: time.Nanosecond}
		g.configFile, g.orders, g.output = args[2], args[4], outputText
		g.pods = func(_ context.Context, namespace, selector, submission string) ([]string, error) {
			asked = []string{namespace, selector, submission}
			return left, nil
		}
		return CodeOf(g.run(t.Context(), nil))
	}
	if code := run([]string{"orders-exec-3"}); code != CodeGuardOtherRunning {
		t.Errorf("exit code %d", code)
	}
	if code := run(nil); code != CodeOK {
		t.Errorf("exit code %d", code)
	}
	if !slices.Equal(asked, []string{"data", "sparkpipeline.dev/pipeline=orders", "spark-new"}) {
		t.Errorf("asked for %v", asked)
	}
}

func TestWhichPodsAreOthers(t *testing.T) {
	pod := func(name, submission string, phase corev1.PodPhase) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{submissionLabel: submission}}, Status: corev1.PodStatus{Phase: phase}}
	}
	got := ofOthers([]corev1.Pod{
		pod("mine", "new", corev1.PodRunning), pod("running", "old", corev1.PodRunning), pod("pending", "old", corev1.PodPending),
		pod("failed", "old", corev1.PodFailed), pod("done", "old", corev1.PodSucceeded), pod("no application", "", corev1.PodRunning), pod("lost", "old", corev1.PodUnknown),
	}, "new")
	if !slices.Equal(got, []string{"lost", "pending", "running"}) {
		t.Errorf("%v", got)
	}
}

func TestGuardPrintsEvidence(t *testing.T) {
	args := append(guardFiles(t, tree(t, prefixed("agg/", rootFiles())), plainOrders+`}`), "-o", "json")
	r := runAgent(t, nil, args...)
	var got struct {
		Roots []struct {
			Path       string
			LastCommit *int64
		}
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got.Roots) != 1 || got.Roots[0].Path != "agg" || *got.Roots[0].LastCommit != 1 {
		t.Errorf("%s: %v", r.out, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package rendered_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Roles of the pods that a pipeline has.
const (
	driverRole   = "driver"
	executorRole = "executor"
	agentRole    = "agent"
	historyRole  = "history"
	watchRole    = "watch"
)

// inhabitant is a pod of a namespace, as far as selectors know it.
type inhabitant struct {
	role   string // For a pod of somebody else: whose it is, such as "driver of orders-2".
	labels labels.Set
}

// recordedPod is what a pod carried that kubeflow's controller and Spark made.
type recordedPod struct {
	role        string
	application string     // Name of the SparkApplication.
	inherited   labels.Set // Labels of the SparkApplication.
	labels      labels.Set
}

// recordedPods are all pods of all recordings, once with each set of labels.
func recordedPods(t *testing.T) []recordedPod {
	t.Helper()
	files, err := filepath.Glob("../kubeflow/testdata/traces/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d recordings: %v", len(files), err)
	}
	var out []recordedPod
	for _, file := range files {
		out = append(out, podsOf(t, file)...)
	}
	return out
}

func podsOf(t *testing.T, file string) []recordedPod {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []recordedPod
	seen := map[string]bool{}
	applications := map[string]labels.Set{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var event struct {
			Object struct {
				Kind     string
				Metadata struct {
					Name   string
					Labels labels.Set
				}
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch meta := event.Object.Metadata; event.Object.Kind {
		case "SparkApplication":
			applications[meta.Name] = meta.Labels
		case "Pod":
			of := meta.Labels["sparkoperator.k8s.io/app-name"]
			if key := meta.Labels.String(); !seen[key] {
				seen[key] = true
				role := executorRole
				if strings.HasSuffix(meta.Name, "-driver") {
					role = driverRole
				}
				out = append(out, recordedPod{role: role, application: of, labels: meta.Labels})
			}
		}
	}
	// A recording may begin with a pod that was there first.
	for i := range out {
		out[i].inherited = applications[out[i].application]
	}
	return out
}

// of is what the pod would carry had the application been another one: kubeflow puts
// the application's name and labels on its pods, and the driver's pod is called
// after the application by Spark.
func (p recordedPod) of(app *sparkapi.SparkApplication) labels.Set {
	out := maps.Clone(p.labels)
	for name := range p.inherited {
		delete(out, name)
	}
	for name, value := range out {
		if value == p.application {
			out[name] = app.Name
		}
	}
	maps.Copy(out, app.Labels)
	role := app.Spec.Driver.SparkPodSpec
	if p.role == executorRole {
		role = app.Spec.Executor.SparkPodSpec
	}
	maps.Copy(out, role.Labels)
	if role.Template != nil {
		maps.Copy(out, role.Template.Labels)
	}
	return out
}

// inhabitants are the pods of one rendering: those of Spark as they were recorded,
// those of the operator's own making by the template of their maker.
func (r rendering) inhabitants(t *testing.T, recorded []recordedPod) []inhabitant {
	t.Helper()
	var out []inhabitant
	for _, p := range recorded {
		out = append(out, inhabitant{p.role, p.of(r.app)})
	}
	for _, p := range r.ownPods(t) {
		role := agentRole
		switch p.name {
		case "Deployment " + r.app.Name + "-history":
			role = historyRole
		case "Deployment " + r.app.Name + "-watch":
			role = watchRole
		}
		set := maps.Clone(p.meta.Labels)
		if kind, maker, _ := strings.Cut(p.name, " "); kind == "CronJob" {
			set["batch.kubernetes.io/job-name"], set["job-name"] = maker+"-29300001", maker+"-29300001"
		} else {
			set["pod-template-hash"] = "6b8b4d5f7c"
		}
		out = append(out, inhabitant{role, set})
	}
	return out
}

// strangers are pods of others in the same namespace: pipelines whose names begin
// as ours does, whose name ours begins with or that are called as a child of ours,
// a SparkApplication that no pipeline made, and a pod without any labels.
func (r rendering) strangers(t *testing.T, recorded []recordedPod) []inhabitant {
	t.Helper()
	own := r.in.Pipeline.Name
	var out []inhabitant
	for _, name := range []string{own + "-2", own[:len(own)-1], own + "-driver", own + "-history", "my-" + own} {
		for _, p := range r.neighbour(t, name).inhabitants(t, recorded) {
			out = append(out, inhabitant{p.role + " of " + name, p.labels})
		}
	}
	alien := &sparkapi.SparkApplication{}
	alien.Name = own + "-etl"
	for _, p := range recorded {
		out = append(out, inhabitant{p.role + " of nobody's application", p.of(alien)})
	}
	return append(out,
		inhabitant{"a Deployment of the same name", labels.Set{"app": own, "app.kubernetes.io/name": own, "app.kubernetes.io/instance": own, "pod-template-hash": "5f7c"}},
		inhabitant{"the operator", labels.Set{"app.kubernetes.io/name": desired.ManagedBy, desired.LabelManagedBy: desired.ManagedBy}},
		inhabitant{"a pod without labels", nil})
}

// The recordings hold what the selectors are judged by.
func TestRecordedPods(t *testing.T) {
	drivers, executors := 0, 0
	for _, p := range recordedPods(t) {
		switch p.role {
		case driverRole:
			drivers++
		case executorRole:
			executors++
		}
		if p.labels["spark-role"] != p.role || p.application == "" {
			t.Errorf("a pod of role %s carries %v", p.role, p.labels)
		}
		if p.inherited[desired.LabelPipeline] != p.application || p.labels[desired.LabelPipeline] != p.application {
			t.Errorf("the labels %v did not come to a pod with %v", p.inherited, p.labels)
		}
	}
	if drivers < 15 || executors < 50 {
		t.Errorf("read %d drivers and %d executors", drivers, executors)
	}
}

// A recorded pod carries what the application gives it, and what Spark and kubeflow
// gave it under its own name.
func TestPodsUnderAnotherName(t *testing.T) {
	r := render(t, "full", input(t, "full"))
	recorded := recordedPods(t)
	p := recorded[slices.IndexFunc(recorded, func(p recordedPod) bool { return p.role == driverRole })]
	want := maps.Clone(p.labels)
	want["sparkpipeline.dev/pipeline"] = "orders-full"
	want["sparkpipeline.dev/pipeline-namespace"] = "data"
	want["app.kubernetes.io/managed-by"] = "sparkpipeline-operator"
	want["sparkoperator.k8s.io/app-name"] = "orders-full"
	want["spark-app-name"] = "orders-full"
	if got := p.of(r.app); got.String() != want.String() {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// rendering is the SparkApplication that a changed case asks for.
func rendering(t *testing.T, in desired.Input, change func(*desired.Input)) desired.Rendering {
	t.Helper()
	in.Pipeline = in.Pipeline.DeepCopy()
	change(&in)
	r, err := desired.Application(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Sizes, and all that is around the application, restart nothing.
func TestChangesThatCostNothing(t *testing.T) {
	for name, change := range map[string]func(*desired.Input){
		"nothing":                      func(*desired.Input) {},
		"more executors at a start":    func(in *desired.Input) { in.Pipeline.Spec.Executor.Instances = 9 },
		"another size of the next run": func(in *desired.Input) { in.Facts.Executors = 17 },
		"other bounds of scaling": func(in *desired.Input) {
			in.Pipeline.Spec.Scaling.MinExecutors, in.Pipeline.Spec.Scaling.MaxExecutors = 7, 9
		},
		"a fixed size": func(in *desired.Input) { in.Pipeline.Spec.Scaling.State = v1alpha1.StateDisabled },
		"suspend":      func(in *desired.Input) { in.Pipeline.Spec.Suspend = true },
		"a generation": func(in *desired.Input) { in.Pipeline.Generation = 12 },
		"backups":      func(in *desired.Input) { in.Pipeline.Spec.Backup.Checkpoint.Schedule = "0 * * * *" },
		"a size of the claim": func(in *desired.Input) {
			in.Pipeline.Spec.Checkpoint.Volume.Size.Add(in.Pipeline.Spec.Quota.Storage.DeepCopy())
		},
		"alerts":                      func(in *desired.Input) { in.Pipeline.Spec.Monitoring.Alerts.Thresholds.HeapPercent = 70 },
		"the network":                 func(in *desired.Input) { in.Pipeline.Spec.Network.Policy = v1alpha1.NetworkDisabled },
		"addresses of the API server": func(in *desired.Input) { in.Facts.APIServers = nil },
		// The path is the application's own. What the spec says of it moves nothing.
		"the declared path of a query": func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Queries[0].Path = "elsewhere" },
	} {
		in := caseNamed(t, "full")
		running, wanted := rendering(t, in, func(*desired.Input) {}), rendering(t, in, change)
		if class, why := desired.Classify(running, wanted); class != v1alpha1.ChangeNone || why != nil {
			t.Errorf("%s: %s because of %v", name, class, why)
		}
	}
}

// The guard runs from the operator's own image: an upgrade of the operator is no
// reason for a restart.
func TestAnotherAgent(t *testing.T) {
	for guard, want := range map[bool]v1alpha1.ChangeClass{false: v1alpha1.ChangeNone, true: v1alpha1.ChangeNone} {
		in := caseNamed(t, "full")
		in.Defaults.Guard = guard
		running := rendering(t, in, func(*desired.Input) {})
		wanted := rendering(t, in, func(in *desired.Input) {
			in.Defaults.AgentImage = "registry.example.com/sparkpipeline-operator:v0.2.0"
		})
		if class, why := desired.Classify(running, wanted); class != want {
			t.Errorf("with a guard: %t; %s because of %v", guard, class, why)
		}
	}
}

func TestSizeOfARun(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*desired.Input)
		want   int32
	}{
		{"as the spec says", func(*desired.Input) {}, 5},
		{"the last wanted size", func(in *desired.Input) { in.Facts.Executors = 11 }, 11},
		{"not below the bounds", func(in *desired.Input) { in.Pipeline.Spec.Executor.Instances = 1 }, 3},
		{"not above the bounds", func(in *desired.Input) { in.Pipeline.Spec.Executor.Instances = 50 }, 20},
		{"a fixed size has no bounds", func(in *desired.Input) {
			in.Pipeline.Spec.Executor.Instances, in.Pipeline.Spec.Scaling.State = 50, v1alpha1.StateDisabled
		}, 50},
	} {
		r := rendering(t, caseNamed(t, "minimal"), c.change)
		spec := r.Object.Object["spec"].(map[string]any)["executor"].(map[string]any)
		if r.Executors != c.want || spec["instances"] != int64(c.want) {
			t.Errorf("%s: got %d, and %v in the object", c.name, r.Executors, spec["instances"])
		}
	}
}

// All that reaches the pods is a restart.
func TestChangesThatRestart(t *testing.T) {
	for name, change := range map[string]func(*desired.Input){
		"an image":    func(in *desired.Input) { in.Pipeline.Spec.Image = "registry.example.com/orders:2" },
		"a nonce":     func(in *desired.Input) { in.Pipeline.Spec.Restart.Nonce = "again" },
		"memory":      func(in *desired.Input) { in.Pipeline.Spec.Executor.Memory = "16g" },
		"an argument": func(in *desired.Input) { in.Pipeline.Spec.Application.Arguments = []string{"--env", "stage"} },
		"a setting": func(in *desired.Input) {
			in.Pipeline.Spec.Application.SparkConf["spark.sql.adaptive.enabled"] = "false"
		},
		"encryption":     func(in *desired.Input) { in.Facts.Encryption = v1alpha1.SecurityAES },
		"a placement":    func(in *desired.Input) { in.Defaults.Placement = desired.Presets()["gke"] },
		"the next claim": func(in *desired.Input) { in.Facts.Checkpoint = "orders-full-checkpoint-r1" },
		"more shuffle partitions, which Spark ignores": func(in *desired.Input) {
			in.Pipeline.Spec.Application.SparkConf["spark.sql.shuffle.partitions"] = "400"
		},
		"a query more": func(in *desired.Input) {
			in.Pipeline.Spec.Checkpoint.Queries = append(in.Pipeline.Spec.Checkpoint.Queries, v1alpha1.QuerySpec{Name: "third", Trigger: "1s"})
		},
	} {
		in := caseNamed(t, "full")
		running, wanted := rendering(t, in, func(*desired.Input) {}), rendering(t, in, change)
		if class, why := desired.Classify(running, wanted); class != v1alpha1.ChangeRestart || len(why) != 1 {
			t.Errorf("%s: %s because of %v", name, class, why)
		}
	}
}

// After these the stream would not find its state, or could not read it.
func TestChangesThatLoseTheState(t *testing.T) {
	for name, c := range map[string]struct {
		pipeline string
		change   func(*desired.Input)
		why      string
	}{
		"a mount path": {"full", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.MountPath = "/mnt/other" },
			`checkpoint root: from "/mnt/checkpoints" to "/mnt/other"`},
		"a location": {"object-store", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Location = "s3a://acme-checkpoints/other" },
			`checkpoint root: from "s3a://acme-checkpoints/sessions" to "s3a://acme-checkpoints/other"`},
		"a volume instead of a location": {"object-store", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Location = "" },
			`checkpoint root: from "s3a://acme-checkpoints/sessions" to "/mnt/checkpoints"`},
		"the path of a query": {"full", func(in *desired.Input) {
			in.Pipeline.Spec.Checkpoint.Queries[0].Path = "elsewhere"
			in.Pipeline.Spec.Application.Arguments = []string{"--root", "elsewhere"}
		}, `path of query orders-agg: from "orders/agg" to "elsewhere"`},
		"a provider": {"full", func(in *desired.Input) {
			in.Pipeline.Spec.Application.SparkConf["spark.sql.streaming.stateStore.providerClass"] = "com.example.Provider"
		}, `state store provider: from "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider" to "com.example.Provider"`},
		"no provider": {"full", func(in *desired.Input) {
			delete(in.Pipeline.Spec.Application.SparkConf, "spark.sql.streaming.stateStore.providerClass")
		}, `state store provider: from "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider" to ""`},
		"fewer shuffle partitions": {"full", func(in *desired.Input) {
			in.Pipeline.Spec.Application.SparkConf["spark.sql.shuffle.partitions"] = "20"
		}, `shuffle partitions: from "40" to "20"`},
	} {
		in := caseNamed(t, c.pipeline)
		running, wanted := rendering(t, in, func(*desired.Input) {}), rendering(t, in, c.change)
		if class, why := desired.Classify(running, wanted); class != v1alpha1.ChangeStateBreaking || !slices.Equal(why, []string{c.why}) {
			t.Errorf("%s: %s because of %v", name, class, why)
		}
	}
}

// A slash at the end of a location, an absent path that is now said, a query that
// is no longer declared: the state is where it was.
func TestOtherWordsForTheSameState(t *testing.T) {
	for name, c := range map[string]struct {
		pipeline string
		change   func(*desired.Input)
	}{
		"a slash":            {"object-store", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Location += "/" }},
		"the path is said":   {"full", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Queries[1].Path = "orders-raw" }},
		"no query is named":  {"full", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Queries = nil }},
		"the queries' order": {"full", func(in *desired.Input) { slices.Reverse(in.Pipeline.Spec.Checkpoint.Queries) }},
	} {
		in := caseNamed(t, c.pipeline)
		running, wanted := rendering(t, in, func(*desired.Input) {}), rendering(t, in, c.change)
		if class, why := desired.Classify(running, wanted); class == v1alpha1.ChangeStateBreaking {
			t.Errorf("%s: %s because of %v", name, class, why)
		}
	}
}

// The annotations of a SparkApplication are enough to judge what is running.
func TestAnnotationsOfTheApplication(t *testing.T) {
	r := rendering(t, caseNamed(t, "full"), func(in *desired.Input) { in.Pipeline.Generation = 4 })
	got := r.Object.GetAnnotations()
	if got[desired.AnnotationRendering] != r.Digest || len(r.Digest) != 16 || got[desired.AnnotationGeneration] != "4" {
		t.Errorf("got %v", got)
	}
	if want := `"path of query orders-agg":"orders/agg"`; !strings.Contains(got[desired.AnnotationStateIdentity], want) {
		t.Errorf("%s lacks %s", got[desired.AnnotationStateIdentity], want)
	}
}

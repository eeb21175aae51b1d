// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/manifest"
)

func minimal(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLoadSetsTheDefaultsOfTheSchema(t *testing.T) {
	p, err := manifest.Load("testdata/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "orders" || p.Namespace != "data" {
		t.Errorf("identity is %s/%s, want data/orders", p.Namespace, p.Name)
	}
	if got := p.Spec.Executor.Instances; got != 5 {
		t.Errorf("executor.instances is %d, want 5", got)
	}
	if got := p.Spec.Scaling; got.State != "Enabled" || got.MinExecutors != 3 || got.MaxExecutors != 20 || *got.CPUUtilization != 70 {
		t.Errorf("scaling is %+v, want Enabled, 3 to 20, 70 %%", got)
	}
	if got := p.Spec.EventLog.Volume.Size.String(); got != "50Gi" {
		t.Errorf("eventLog.volume.size is %s, want 50Gi", got)
	}
	if got := p.Spec.Recovery.Objectives.Region; got != (v1alpha1.Objective{RTO: "60m", RPO: "15m"}) {
		t.Errorf("recovery.objectives.region is %+v, want 60m and 15m", got)
	}
	if p.Spec.Quota != nil || p.Spec.Checkpoint.Volume != nil {
		t.Error("quota and checkpoint.volume are set, want absent: what they come to depends on other fields")
	}
}

func TestParse(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for name, c := range map[string]struct {
		change func(string) string
		want   []string // parts of the error; none: accepted
	}{
		"a complete manifest":         {change: func(s string) string { return s }},
		"empty documents around it":   {change: func(s string) string { return "---\n# nothing\n---\n" + s + "\n---\n" }},
		"a line that fills a buffer":  {change: func(s string) string { return oneLine(s, 2*4096) }},
		"nothing":                     {func(string) string { return "# nothing" }, []string{"empty", "one SparkPipeline"}},
		"two documents":               {func(s string) string { return s + "\n---\n" + s }, []string{"more than one document"}},
		"no YAML":                     {func(string) string { return "a: [" }, []string{"not YAML"}},
		"a list":                      {func(string) string { return "[1]" }, []string{"not an object"}},
		"another kind":                {replace("kind: SparkPipeline", "kind: Pod"), []string{`kind is "Pod"`, `"SparkPipeline" is allowed`}},
		"another version":             {replace("/v1alpha1", "/v7"), []string{`"sparkpipeline.dev/v7"`, `"sparkpipeline.dev/v1alpha1" is allowed`}},
		"no name":                     {replace("name: orders", "labels: {}"), []string{"metadata.name"}},
		"a field that there is not":   {replace("spec:", "spec:\n  sparkversion: 4.1.4"), []string{"unknown fields: spec.sparkversion"}},
		"a field twice":               {replace("spec:", "spec:\n  image: twice"), []string{"image", "already"}},
		"a null where a default is":   {change: replace("spec:", "spec:\n  driver: null")},
		"a missing field":             {replace("region: us-west-2", ""), []string{"spec.objectStore.region", "Required"}},
		"a value against the schema":  {replace("4.1.4", "2.4.0"), []string{"spec.sparkVersion", `"2.4.0"`, "should match"}},
		"a name against a rule":       {replace("name: orders", "name: 1orders"), []string{"metadata.name", `"1orders"`, "must start with a letter"}},
		"a wrong type":                {replace("spec:", "spec:\n  suspend: maybe"), []string{"spec.suspend", "boolean"}},
		"a name with a line feed":     {replace("mainClass:", "sparkConf: {\"a\\nb\": x}\n    mainClass:"), []string{"spec.application.sparkConf", "a name starts with spark."}},
		"a range with a line feed":    {replace("spec:", "spec:\n  network: {egress: {kafka: [\"10.0.0.0/8\\n\"]}}"), []string{"spec.network.egress.kafka[0]", "is allowed"}},
		"a query that is there twice": {replace("spec:", "spec:\n  checkpoint: {queries: [{name: a}, {name: a}]}"), []string{"spec.checkpoint.queries[1]", "Duplicate"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(c.change(minimal(t))))
			if len(c.want) == 0 && err != nil {
				t.Fatalf("refused: %v", err)
			}
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error is %v, want %q in it", err, part)
				}
			}
		})
	}
}

// oneLine is a manifest as JSON in one line of n bytes, without an end of the line.
func oneLine(manifest string, n int) string {
	text, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		panic(err)
	}
	return string(text) + strings.Repeat(" ", n-len(text))
}

func TestDecodeJudgesNothing(t *testing.T) {
	data := strings.Replace(minimal(t), "spec:", "spec:\n  nonsense: 1\n  driver: {cores: 9999}", 1)
	p, unknown, err := manifest.Decode([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(unknown) != 1 || unknown[0] != "spec.nonsense" {
		t.Errorf("unknown fields are %q, want spec.nonsense", unknown)
	}
	if p.Spec.Driver.Cores != 9999 || p.Spec.Driver.Memory != "4g" {
		t.Errorf("driver is %+v, want 9999 cores as written and 4g by default", p.Spec.Driver)
	}
}

func TestValidateUpdate(t *testing.T) {
	from := minimal(t)
	shrunk := strings.Replace(from, "spec:", "spec:\n  eventLog: {volume: {size: 10Gi}}", 1)
	grown := strings.Replace(from, "spec:", "spec:\n  eventLog: {volume: {size: 60Gi}}", 1)
	if err := manifest.ValidateUpdate([]byte(from), []byte(grown)); err != nil {
		t.Errorf("a larger volume is refused: %v", err)
	}
	err := manifest.ValidateUpdate([]byte(from), []byte(shrunk))
	for _, part := range []string{"spec.eventLog.volume.size", "50Gi", "10Gi"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error is %v, want %q in it", err, part)
		}
	}
}

func TestTheSamplesAreAccepted(t *testing.T) {
	samples, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pipelines := 0
	for _, sample := range samples {
		data, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "kind: SparkPipeline\n") {
			continue
		}
		pipelines++
		if _, err := manifest.Load(sample); err != nil {
			t.Error(err)
		}
	}
	if pipelines < 2 {
		t.Errorf("found %d samples of a SparkPipeline, want the minimal and the full one", pipelines)
	}
}

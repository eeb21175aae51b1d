// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/desired/testdata"
)

// cases are the pipelines that the golden files and the invariants are over, each
// with a pipeline of its own.
func cases(t *testing.T) []testdata.Case {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	out := slices.Clone(all)
	for i := range out {
		out[i].Input.Pipeline = out[i].Input.Pipeline.DeepCopy()
	}
	return out
}

// parsed reads the manifests once, for the many tests that begin with them.
var parsed = sync.OnceValues(testdata.Cases)

// caseNamed is one of them.
func caseNamed(t *testing.T, name string) desired.Input {
	t.Helper()
	for _, c := range cases(t) {
		if c.Name == name {
			return c.Input
		}
	}
	t.Fatalf("there is no case %q", name)
	return desired.Input{}
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := desired.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Everything that is shown of the cases rests on these being the ones that there
// are.
func TestCases(t *testing.T) {
	want := []string{"dedicated", "fixed-size", "full", "minimal", "object-store", "running", "shared", "spark35", "suspended", "tls"}
	var got []string
	for _, c := range cases(t) {
		got = append(got, c.Name)
		if _, err := desired.Render(scheme(t), c.Input); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if _, err := desired.Application(scheme(t), c.Input); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("case %d is %s, expected %s", i, got[i], want[i])
		}
	}
}

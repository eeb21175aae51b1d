// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const goldenSuffix = ".golden.yaml"

// Every child has a golden file with what it is in each case, and every golden
// file a child.
func TestGolden(t *testing.T) {
	documents := map[string]*bytes.Buffer{"application": {}}
	for _, kind := range desired.Kinds() {
		documents[kind.Name] = &bytes.Buffer{}
	}
	list := &bytes.Buffer{}
	for _, c := range cases(t) {
		children, err := desired.Render(scheme(t), c.Input)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		fmt.Fprintf(list, "# case: %s\n", c.Name)
		for _, child := range children {
			write(t, documents[child.Name], c.Name, child.Object)
			fmt.Fprintf(list, "%d %s %s/%s\n", child.Wave, child.Object.GetKind(), child.Object.GetNamespace(), child.Object.GetName())
		}
		application, err := desired.Application(scheme(t), c.Input)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		write(t, documents["application"], c.Name, application.Object)
	}
	for name, content := range documents {
		if content.Len() == 0 {
			t.Errorf("no case shows what %s is", name)
			continue
		}
		compare(t, name+goldenSuffix, content.Bytes())
	}
	compare(t, "children.golden", list.Bytes())
	strangers(t, documents)
}

// write adds a document to a golden file.
func write(t *testing.T, to *bytes.Buffer, name string, o *unstructured.Unstructured) {
	t.Helper()
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	if to.Len() > 0 {
		to.WriteString("---\n")
	}
	fmt.Fprintf(to, "# case: %s\n%s", name, text)
}

// compare holds a golden file against what it should be, or rewrites it.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v; go test ./internal/reconcile/desired -update writes it", err)
		return
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s (-golden +rendered; after reading the difference, -update rewrites it):\n%s", path, diff)
	}
}

// strangers finds golden files that no child belongs to any more.
func strangers(t *testing.T, known map[string]*bytes.Buffer) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*"+goldenSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), goldenSuffix); known[name] == nil {
			t.Errorf("%s: there is no child %q", file, name)
		}
	}
	if len(files) == 0 {
		t.Error("there are no golden files")
	}
}

// The names of the registry tell children apart, also in the file system.
func TestRegistryNames(t *testing.T) {
	var last string
	seen := []string{"application"}
	for _, kind := range desired.Kinds() {
		if kind.Name == last {
			continue // Another kind of the same child.
		}
		if slices.Contains(seen, kind.Name) {
			t.Errorf("the name %q is there twice", kind.Name)
		}
		seen, last = append(seen, kind.Name), kind.Name
	}
}

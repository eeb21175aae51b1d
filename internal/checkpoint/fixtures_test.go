// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sparkpipeline.dev/operator/internal/checkpoint/checkpointtest"
)

// expectation is what expect.json and damage.json say of a root. Both were made
// with real Spark; see testdata/spark/README.md.
type expectation struct {
	Healthy           bool    `json:"healthy"`
	Level             any     `json:"level"` // a number, or "manifest"
	Kind              string  `json:"kind"`
	Path              string  `json:"path"`
	LastOffset        *int64  `json:"lastOffset"`
	LastCommit        *int64  `json:"lastCommit"`
	InFlight          bool    `json:"inFlight"`
	RestorableBatches []int64 `json:"restorableBatches"`
	Provider          string  `json:"provider"`
	MadeAt            string  `json:"madeAt"`
	QueryID           string  `json:"queryId"`
}

// damage is an entry of damage.json.
type damage struct {
	Base string `json:"base"`
	Name string `json:"name"`
	Ops  []struct {
		Op     string `json:"op"`
		Path   string `json:"path"`
		To     string `json:"to"`
		Text   string `json:"text"`
		Size   int64  `json:"size"`
		Offset int64  `json:"offset"`
	} `json:"ops"`
	Expect expectation `json:"expect"`
}

const fixtures = "testdata/spark"

func readJSON[T any](t *testing.T, name string) T {
	t.Helper()
	var out T
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unpack(t testing.TB, name string) string { t.Helper(); return checkpointtest.Unpack(t, name) }

// apply does to a root what a damage says.
func (d *damage) apply(t *testing.T, root string) {
	t.Helper()
	for _, op := range d.Ops {
		at, to := filepath.Join(root, op.Path), filepath.Join(root, op.To)
		var err error
		switch op.Op {
		case "delete":
			err = os.RemoveAll(at) // some list companions that are not there
		case "truncate":
			err = os.Truncate(at, op.Size)
		case "flip":
			err = change(at, func(data []byte) []byte { data[op.Offset] ^= 0xff; return data })
		case "write":
			if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
				err = os.WriteFile(at, []byte(op.Text), 0o644)
			}
		case "rename":
			err = os.Rename(at, to)
		case "copy":
			var data []byte
			if data, err = os.ReadFile(at); err == nil {
				if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
					err = os.WriteFile(to, data, 0o644)
				}
			}
		default:
			err = errors.New("unknown operation " + op.Op)
		}
		if err != nil {
			t.Fatalf("%s %s: %v", op.Op, op.Path, err)
		}
	}
}

func change(name string, how func([]byte) []byte) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, how(data), 0o644)
}

// cases are the fixtures that have an expect.json.
func cases(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(fixtures, "*", "expect.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 44 {
		t.Fatalf("only %d fixtures are there", len(found))
	}
	for i := range found {
		found[i] = filepath.Base(filepath.Dir(found[i]))
	}
	return found
}

func expected(t *testing.T, name string) expectation {
	t.Helper()
	return readJSON[expectation](t, filepath.Join(fixtures, name, "expect.json"))
}

// placeOf is where the root of a case was made.
func placeOf(t *testing.T, name string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(fixtures, name, "expect.json")); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return expected(t, name).MadeAt
}

func verifyDir(t *testing.T, root string, o Options) *Report {
	t.Helper()
	src, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	report, err := Verify(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// errorsOf are the findings that make a root unhealthy.
func errorsOf(r *Report) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Severity != SeverityError })
}

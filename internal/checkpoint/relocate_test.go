// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// movable are the fixtures that record where they were made.
var movable = []string{"tws-41", "tws-43", "join-v3-43"}

func TestAMovedRootIsHealthyAtItsNewPlace(t *testing.T) {
	for _, name := range movable {
		for _, to := range []struct{ place, recorded string }{
			{"/mnt/new place/q", "file:/mnt/new place/q"},
			{"file:///mnt/cp/", "file:/mnt/cp"},
			{"s3a://bucket/a/b", "s3a://bucket/a/b"},
		} {
			t.Run(name+" to "+to.place, func(t *testing.T) {
				root := unpack(t, name)
				before := readFile(t, root, "state/0/_metadata/v2/0")
				done, err := RelocateDir(t.Context(), root, to.place)
				if err != nil || !slices.Equal(done, []string{"state/0/_metadata/v2/0"}) {
					t.Fatalf("rewrote %q, %v", done, err)
				}
				if got := verifyDir(t, root, Options{Place: to.place}); !got.Healthy {
					t.Errorf("findings at the new place: %+v", got.Findings)
				}
				// Nothing but the place may differ.
				made := strings.TrimSuffix(placeOf(t, name), "/")
				want := strings.ReplaceAll(before, made+"/", to.recorded+"/")
				if got := readFile(t, root, "state/0/_metadata/v2/0"); got != want || want == before {
					t.Errorf("wrote\n%s\nwant\n%s", got, want)
				}
				if _, err := os.Stat(filepath.Join(root, "state/0/_metadata/v2/.0.crc")); err == nil {
					t.Error("the checksum of the old content is still there")
				}
				if again, err := RelocateDir(t.Context(), root, to.place); err != nil || len(again) > 0 {
					t.Errorf("a second run rewrote %q, %v", again, err)
				}
			})
		}
	}
}

func TestARootThatStaysIsNotRewritten(t *testing.T) {
	for _, name := range movable {
		root := unpack(t, name)
		if done, err := RelocateDir(t.Context(), root, placeOf(t, name)); err != nil || len(done) > 0 {
			t.Errorf("%s: rewrote %q, %v", name, done, err)
		}
		if _, err := os.Stat(filepath.Join(root, "state/0/_metadata/v2/.0.crc")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if done, err := RelocateDir(t.Context(), unpack(t, "rocksdb-41"), "/elsewhere"); err != nil || len(done) > 0 {
		t.Errorf("a root that records no place: rewrote %q, %v", done, err)
	}
}

// A crash after the checksum went and before the file was replaced.
func TestRelocationThatWasCutOffGoesOn(t *testing.T) {
	root := unpack(t, "tws-41")
	if err := os.Remove(filepath.Join(root, "state/0/_metadata/v2/.0.crc")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "state/0/_metadata/v2/.0.relocated.tmp"), []byte("v2\n{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := RelocateDir(t.Context(), root, "/new"); err != nil {
		t.Fatal(err)
	}
	if got := verifyDir(t, root, Options{Place: "/new"}); !got.Healthy {
		t.Errorf("findings: %+v", got.Findings)
	}
}

func TestWhatCannotBeMovedIsSaid(t *testing.T) {
	const at = "state/0/_metadata/v2/0"
	for title, test := range map[string]struct {
		place  string
		change func(root string) error
		says   string
	}{
		"relative place":          {"cp/q", nil, `"cp/q"`},
		"root of the file system": {"/", nil, `"/"`},
		"schema of another operator": {"/new", func(root string) error {
			return change(filepath.Join(root, at), func(data []byte) []byte {
				return bytes.Replace(data, []byte("state/0/_stateSchema"), []byte("state/1/_stateSchema"), 1)
			})
		}, "such a file lies in state/0/_stateSchema"},
		"metadata is cut": {"/new", func(root string) error {
			return change(filepath.Join(root, at), func(data []byte) []byte { return data[:40] })
		}, at + " to /new: line 2 is not JSON"},
	} {
		t.Run(title, func(t *testing.T) {
			root := unpack(t, "tws-41")
			if test.change != nil {
				if err := test.change(root); err != nil {
					t.Fatal(err)
				}
			}
			before := readFile(t, root, at)
			_, err := RelocateDir(t.Context(), root, test.place)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want it to say %s", err, test.says)
			}
			if readFile(t, root, at) != before {
				t.Error("the file was changed all the same")
			}
		})
	}
}

func readFile(t *testing.T, root, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

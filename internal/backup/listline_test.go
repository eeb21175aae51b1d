// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// What is taken apart by hand is what a JSON decoder makes of it, and whatever the
// encoder writes of ordinary names is taken apart by hand.
func TestPlainLinesAreJSON(t *testing.T) {
	sum, object := "00ff", "objects/00ff-run"
	for _, e := range []entry{
		{Path: "metadata", Size: 47, ModTime: 1772366400000000123, Tag: "12-34", SHA256: sum, Object: object, Offset: 99},
		{Path: "state/0/1/.12.delta.crc", SHA256: sum},
		{Path: "a", Size: 1, ModTime: -5, SHA256: sum, Object: object},
	} {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if found, ok := plainLine(line); !ok || *found != e {
			t.Errorf("%s was read as %+v, %v", line, found, ok)
		}
	}
}

func FuzzPlainLine(f *testing.F) {
	for _, line := range []string{
		`{"path":"a","size":1,"modTime":2,"sha256":"ff"}`, `{"path":"a","size":01,"modTime":2,"sha256":"ff"}`,
		`{"path":"a","size":-0,"modTime":2,"sha256":"ff","object":"o","offset":3}`, `{"path":"a\u0041","size":1,"modTime":2,"sha256":"ff"}`,
		`{"path":"ä","size":1,"modTime":2,"tag":"t","sha256":"ff","offset":9223372036854775808}`, `{"path":"a","size":1,"modTime":2,"sha256":"ff"}}`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		found, ok := plainLine([]byte(line))
		if !ok {
			return
		}
		var want entry
		if err := json.Unmarshal([]byte(line), &want); err != nil || !reflect.DeepEqual(*found, want) {
			t.Errorf("%q is %+v, by hand %+v (%v)", line, want, found, err)
		}
		if _, err := parseLine([]byte(line)); errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", line, err)
		}
	})
}

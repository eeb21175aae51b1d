// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A rewind permits the root that it made, and what that becomes, and no older one.
func TestRewindPermitsExactlyWhatItMade(t *testing.T) {
	permit := `{"formatVersion":1,"id":"r1","from":9,"to":3}`
	for name, tt := range map[string]struct {
		newest          int // of the root
		permit          string
		orders          int64
		recorded        int64 // -1: there is no record of the owner
		rewind          string
		want            Reason
		wantRoots       int64
		wantRewindsNote string
	}{
		"just rewound":                              {3, permit, 9, 9, "", "", 3, "r1"},
		"just rewound, and noted":                   {3, permit, 9, 3, "r1", "", 3, "r1"},
		"a copy on a new claim":                     {3, permit, 9, -1, "", "", 3, "r1"},
		"gone on":                                   {5, permit, 9, 3, "r1", "", 5, "r1"},
		"no permit":                                 {3, "", 9, 9, "", Older, 9, ""},
		"a permit that cannot be read":              {3, "{", 9, 9, "", Older, 9, ""},
		"a permit of a later version":               {3, `{"formatVersion":2,"id":"r1","from":9,"to":3}`, 9, 9, "", Older, 9, ""},
		"a permit that goes forward":                {3, `{"formatVersion":1,"id":"r1","from":3,"to":9}`, 9, 9, "", Older, 9, ""},
		"older than the batch rewound to":           {2, permit, 9, 9, "", Older, 9, ""},
		"the operator saw more than the rewind":     {3, permit, 10, 9, "", Older, 9, ""},
		"the checkpoint saw more than the rewind":   {3, permit, 9, 10, "", Older, 10, ""},
		"older than the new timeline was seen":      {3, permit, 9, 5, "r1", Older, 5, "r1"},
		"the new timeline has passed the old one":   {12, permit, 12, 12, "r1", "", 12, "r1"},
		"older, and the new one had passed the old": {4, permit, 12, 3, "r1", Older, 3, "r1"},
		"rewound again":                             {3, `{"formatVersion":1,"id":"r2","from":9,"to":3}`, 9, 5, "r1", "", 3, "r2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkpointOf(t, "agg", tt.newest)
			g := guardOn(t, dir)
			g.Orders.Roots = map[string]int64{"agg": tt.orders}
			if tt.recorded >= 0 {
				o := Owner{FormatVersion: 1, Namespace: "data", Name: "orders", UID: "u1", Roots: map[string]int64{"agg": tt.recorded}}
				if tt.rewind != "" {
					o.Rewinds = map[string]string{"agg": tt.rewind}
				}
				data, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				put(t, dir, OwnerName, string(data))
			}
			if tt.permit != "" {
				put(t, dir, "agg/"+RewoundName, tt.permit)
			}
			evidence, err := g.Run(t.Context())
			if evidence.Reason != tt.want || (err == nil) != (tt.want == "") {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if tt.recorded < 0 && tt.want != "" {
				return
			}
			var o Owner
			data, err := os.ReadFile(filepath.Join(dir, OwnerName))
			if err == nil {
				err = json.Unmarshal(data, &o)
			}
			if err != nil || o.Roots["agg"] != tt.wantRoots || o.Rewinds["agg"] != tt.wantRewindsNote {
				t.Errorf("on record is %+v, %v", o, err)
			}
		})
	}
}

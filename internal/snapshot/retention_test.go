// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
)

func TestRetain(t *testing.T) {
	const day = 24 * time.Hour
	type made struct {
		name  string
		age   time.Duration
		state string
	}
	for title, test := range map[string]struct {
		there   []made
		keepFor time.Duration
		newest  string
		expired []string
	}{
		"nothing":                    {nil, 7 * day, "", nil},
		"the only verified one":      {[]made{{"a", 400 * day, "verified"}}, 7 * day, "a", nil},
		"older verified ones go":     {[]made{{"a", 20 * day, "verified"}, {"b", 10 * day, "verified"}, {"c", day, "verified"}}, 7 * day, "c", []string{"a", "b"}},
		"a younger unverified one":   {[]made{{"a", 20 * day, "verified"}, {"b", 10 * day, "unverified"}, {"c", day, "unverified"}}, 7 * day, "a", []string{"b"}},
		"a younger unready one":      {[]made{{"a", 20 * day, "verified"}, {"b", day, "unready"}}, 7 * day, "a", nil},
		"the newest is on its way":   {[]made{{"a", 20 * day, "verified"}, {"b", day, "going"}}, 7 * day, "a", nil},
		"nothing is verified":        {[]made{{"a", 20 * day, "unverified"}, {"b", 10 * day, "unverified"}}, 7 * day, "", nil},
		"but what holds nothing may": {[]made{{"a", 20 * day, "unverified"}, {"b", 10 * day, "unready"}}, 7 * day, "", []string{"b"}},
		"on the day":                 {[]made{{"a", 7 * day, "verified"}, {"b", day, "verified"}}, 7 * day, "b", nil},
		"no retention":               {[]made{{"a", 4000 * day, "verified"}, {"b", day, "verified"}}, 0, "b", nil},
	} {
		t.Run(title, func(t *testing.T) {
			m := newMemory()
			var all []volumesnapshotv1.VolumeSnapshot
			for _, s := range test.there {
				all = append(all, *m.add(t, s.name, s.age, s.state))
			}
			slices.Reverse(all)
			k := Retain(all, noon, test.keepFor)
			newest := ""
			if k.Newest != nil {
				newest = k.Newest.Name
			}
			var expired []string
			for _, s := range k.Expired {
				expired = append(expired, s.Name)
			}
			if newest != test.newest || !slices.Equal(expired, test.expired) {
				t.Errorf("newest %q, expired %q; want %q, %q", newest, expired, test.newest, test.expired)
			}
		})
	}
}

// Whatever there is, of whatever age: the newest verified one never expires, and what
// can be restored goes only while a younger verified one stays.
func TestRetainNeverTakesTheLastOne(t *testing.T) {
	states := []string{"verified", "unverified", "unready", "going"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		m := newMemory()
		var all []volumesnapshotv1.VolumeSnapshot
		for i := range random.IntN(8) {
			all = append(all, *m.add(t, string(rune('a'+i)), time.Duration(random.IntN(20))*24*time.Hour, states[random.IntN(len(states))]))
		}
		k := Retain(all, noon, time.Duration(1+random.IntN(14))*24*time.Hour)
		gone := map[string]bool{}
		for _, s := range k.Expired {
			gone[s.Name] = true
		}
		verified, left := 0, 0
		for i := range all {
			if Verified(&all[i]) != nil {
				verified++
				if !gone[all[i].Name] {
					left++
				}
			}
		}
		if verified > 0 && left == 0 || (k.Newest == nil) != (verified == 0) || k.Newest != nil && gone[k.Newest.Name] {
			t.Fatalf("of %d verified ones %d are left; newest %v, gone %v", verified, left, k.Newest, gone)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts are numbers of requests by kind, and by verb and resource.
type Counts struct {
	Reads   int `json:"reads"`
	Writes  int `json:"writes"`
	Events  int `json:"events"`
	Leases  int `json:"leases"`
	Watches int `json:"watches"`
	// Refused are answers of 400 and above that are not the not-found of a look.
	Refused int `json:"refused"`
	// By verb and resource, without leases and watches.
	By map[string]int `json:"by,omitempty"`
}

// Count sorts requests.
func Count(requests []Request) Counts {
	c := Counts{By: map[string]int{}}
	for _, r := range requests {
		switch r.Kind() {
		case Lease:
			c.Leases++
			continue
		case Watch:
			c.Watches++
			continue
		case Read:
			c.Reads++
		case Event:
			c.Events++
		case Write:
			c.Writes++
		}
		if r.Code >= 400 && !(r.Code == 404 && r.Kind() == Read) {
			c.Refused++
		}
		c.By[r.Verb+" "+r.Resource]++
	}
	return c
}

// Work is how many requests there were besides leases and watches.
func (c Counts) Work() int { return c.Reads + c.Writes + c.Events }

// Verb is how many requests had a verb; Events do not count.
func (c Counts) Verb(verb string) int {
	n := 0
	for what, times := range c.By {
		if strings.HasPrefix(what, verb+" ") && what != verb+" events" {
			n += times
		}
	}
	return n
}

// String lists the requests, the most frequent first.
func (c Counts) String() string {
	keys := slices.SortedFunc(maps.Keys(c.By), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.By[b], c.By[a]), cmp.Compare(a, b))
	})
	parts := make([]string, 0, len(keys))
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", c.By[k], k))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

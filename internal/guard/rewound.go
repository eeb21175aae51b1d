// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"time"
)

// RewoundName is in a root from the end of a rewind on.
const RewoundName = ".sparkpipeline-rewound.json"

// Rewound is the content of RewoundName: the root was taken back on purpose, so it
// may be older than what was seen before.
type Rewound struct {
	FormatVersion int `json:"formatVersion"`
	// ID tells one rewind from another.
	ID string `json:"id"`
	// From is the newest batch that was committed before; To is the batch that the
	// root was taken back to.
	From int64     `json:"from"`
	To   int64     `json:"to"`
	At   time.Time `json:"at"`
	// Source is the root that this one is a copy of; empty: it was taken back in
	// place.
	Source string `json:"source,omitempty"`
	// Trash is the directory below the root that holds what was moved aside.
	Trash string `json:"trash,omitempty"`
}

const rewoundFormat = 1

// ReadRewound reads the record of the last rewind of a root; nil: there was none. A
// record that cannot be read permits nothing, so it counts as none.
func ReadRewound(data []byte) *Rewound {
	var r Rewound
	if json.Unmarshal(data, &r) != nil || r.FormatVersion != rewoundFormat || r.ID == "" || r.To < 0 || r.From < r.To {
		return nil
	}
	return &r
}

func (g *Guard) rewound(ctx context.Context, p string) (*Rewound, error) {
	data, err := g.mark(ctx, path.Join(p, RewoundName))
	if err != nil || data == nil {
		return nil, err
	}
	return ReadRewound(data), nil
}

// memory is how far roots were: what the operator has seen, and what the checkpoint
// itself remembers in case the operator forgot.
type memory struct {
	orders map[string]int64
	owner  *Owner
}

// remembered is empty when the loss of the state is accepted.
func (g *Guard) remembered(owner *Owner) *memory {
	if g.Orders.Reset {
		return &memory{}
	}
	return &memory{g.Orders.Roots, owner}
}

func (m *memory) paths() []string {
	out := slices.Collect(maps.Keys(m.orders))
	if m.owner != nil {
		out = slices.AppendSeq(out, maps.Keys(m.owner.Roots))
	}
	return out
}

// Least is the batch that a root must at least have by the record of the checkpoint;
// false: none was seen in it. r is the last rewind of the root, nil if there was none.
func (o *Owner) Least(p string, r *Rewound) (batch int64, seen bool) {
	batch, seen = o.Roots[p]
	if seen && r != nil && o.Rewinds[p] != r.ID && batch <= r.From {
		batch = r.To
	}
	return batch, seen
}

// TookBack notes a rewind of a root: its newest batch is on record as the older one.
func (o *Owner) TookBack(p string, r *Rewound) {
	if o.Roots == nil {
		o.Roots = map[string]int64{}
	}
	if o.Rewinds == nil {
		o.Rewinds = map[string]string{}
	}
	o.Roots[p], o.Rewinds[p] = r.To, r.ID
}

// least is the batch that a root must at least have; false: none was seen in it. What
// was seen before a rewind counts as the batch that the root was taken back to, if the
// rewind knew of it: a rewind of a root that had been exchanged for an older copy hides
// nothing, and neither does a copy of a root whose rewind was overtaken since. The
// operator remembers the highest batch only, so its word counts again when the root has
// passed where it was.
func (m *memory) least(p string, r *Rewound) (batch int64, seen bool) {
	if m.owner != nil {
		batch, seen = m.owner.Least(p, r)
	}
	if ordered, ok := m.orders[p]; ok {
		if r != nil && ordered <= r.From {
			ordered = r.To
		}
		batch, seen = max(batch, ordered), true
	}
	return batch, seen
}

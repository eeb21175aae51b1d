// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
)

// keys of the input. Batches touch few of them, so that what is wrong with a key
// is not soon healed by later rows.
const keys = 60

// lifetime is how many rows a key counts before it is removed from the state.
const lifetime = 7

// counted is the state of one key.
type counted struct{ rows, sum uint64 }

// table is the content of one store: key -> state.
type table map[uint64]counted

func mix(parts ...uint64) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(b[:], part)
		h.Write(b[:])
	}
	return h.Sum64()
}

// add counts the rows from one position to another, as far as they belong to a
// store, and returns the keys that changed.
func (t table) add(s *store, from, to int64) map[uint64]bool {
	changed := map[uint64]bool{}
	for row := from; row < to; row++ {
		key := mix(uint64(row)) % keys
		if int64(key%uint64(s.partitions)) != s.partition {
			continue
		}
		now := counted{t[key].rows + 1, t[key].sum + mix(uint64(row), uint64(s.operator), s.salt)}
		changed[key] = true
		if t[key] = now; now.rows == lifetime {
			delete(t, key)
		}
	}
	return changed
}

// wanted is what a store must hold after so many rows.
func (s *store) wanted(rows int64) table {
	t := table{}
	t.add(s, 0, rows)
	return t
}

func (t table) equal(other table) bool { return maps.Equal(t, other) }

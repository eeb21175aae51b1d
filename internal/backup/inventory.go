// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// inventory is what the store really holds below objects/, small enough for
// millions of objects: 24 bytes each. Keys are told apart by half of their hash.
type inventory struct {
	known []stored
}

type stored struct {
	id   [16]byte
	size int64
}

func idOf(key string) (id [16]byte) {
	sum := sha256.Sum256([]byte(key))
	copy(id[:], sum[:])
	return id
}

// inventory lists the objects: one request for a thousand.
func (r *Repository) inventory(ctx context.Context) (*inventory, error) {
	inv := &inventory{}
	for info, err := range r.store.List(ctx, r.prefix+objectsDir) {
		if err != nil {
			return nil, fmt.Errorf("list objects: %w", err)
		}
		inv.known = append(inv.known, stored{idOf(strings.TrimPrefix(info.Key, r.prefix)), info.Size})
	}
	slices.SortFunc(inv.known, func(a, b stored) int { return slices.Compare(a.id[:], b.id[:]) })
	return inv, nil
}

func (inv *inventory) find(key string) (stored, bool) {
	id := idOf(key)
	i, there := slices.BinarySearchFunc(inv.known, id, func(s stored, id [16]byte) int {
		return slices.Compare(s.id[:], id[:])
	})
	if !there {
		return stored{}, false
	}
	return inv.known[i], true
}

// holds tells whether the object is there and long enough for the entry.
func (inv *inventory) holds(e *entry) bool {
	if e.Object == "" {
		return true
	}
	s, there := inv.find(e.Object)
	return there && cmp.Compare(s.size, e.Offset+e.Size) >= 0
}

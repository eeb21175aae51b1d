// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"slices"
	"time"

	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
)

// Kept is what a retention comes to.
type Kept struct {
	// Newest is the newest verified snapshot, which stays whatever its age; nil:
	// there is none, and then nothing that can be restored goes.
	Newest *volumesnapshotv1.VolumeSnapshot
	// Expired snapshots are to be removed, oldest first.
	Expired []*volumesnapshotv1.VolumeSnapshot
}

// Retain judges the snapshots of a pipeline. Those made before now-keepFor expire;
// keepFor 0 keeps all. What never became ready holds nothing, so it expires even
// while nothing is verified.
func Retain(all []volumesnapshotv1.VolumeSnapshot, now time.Time, keepFor time.Duration) Kept {
	var k Kept
	byAge := make([]*volumesnapshotv1.VolumeSnapshot, 0, len(all))
	for i := range all {
		byAge = append(byAge, &all[i])
	}
	slices.SortStableFunc(byAge, func(a, b *volumesnapshotv1.VolumeSnapshot) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range byAge {
		if Verified(s) != nil {
			k.Newest = s
		}
	}
	if keepFor <= 0 {
		return k
	}
	for _, s := range byAge {
		old := now.Sub(s.CreationTimestamp.Time) > keepFor
		if !old || s == k.Newest || s.DeletionTimestamp != nil || k.Newest == nil && ready(s) {
			continue
		}
		k.Expired = append(k.Expired, s)
	}
	return k
}

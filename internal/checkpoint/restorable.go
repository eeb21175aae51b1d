// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"slices"
)

// restorable lists the committed batches whose restorable set is there and holds
// nothing that was found damaged.
func (j *judge) restorable(ctx context.Context) ([]int64, error) {
	out := []int64{}
	if j.spoiled || j.damaged["metadata"] {
		return out, nil
	}
	for _, n := range j.commits.numbers {
		ok, err := j.isRestorable(ctx, n)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, n)
		}
	}
	return out, nil
}

func (j *judge) isRestorable(ctx context.Context, n int64) (bool, error) {
	logs := []string{j.commits.path(n), j.offsets.path(n)}
	if !j.offsets.has(n) {
		return false, nil
	}
	if n > 0 {
		before, ok := j.previous(n)
		if !ok {
			return false, nil
		}
		logs = append(logs, j.offsets.path(before))
	}
	for _, p := range logs {
		if j.damaged[p] {
			return false, nil
		}
	}
	if j.o.Level >= LevelLogs {
		o, err := j.offset(ctx, n)
		if isFormat(err) || isGone(err) {
			return false, nil
		}
		if err != nil {
			return false, doing("read "+j.offsets.path(n), err)
		}
		if !j.sourcesReach(o) {
			return false, nil
		}
	}
	files, gaps, err := j.stateOf(ctx, n)
	if isGone(err) {
		return false, nil
	}
	if err != nil || len(gaps) > 0 {
		return false, err
	}
	for _, f := range files {
		if j.damaged[f.Path] || slices.ContainsFunc(j.sharedOf[f.Path], func(p string) bool { return j.damaged[p] }) {
			return false, nil
		}
	}
	return true, nil
}

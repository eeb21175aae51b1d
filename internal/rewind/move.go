// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
)

// ownPrefix begins the names of the agent's own files in a root.
const ownPrefix = ".sparkpipeline-"

// trashName is the directory below the root that things are moved into, each rewind
// into a directory of its own.
const trashName = ownPrefix + "trash"

// move moves what has to go aside.
func (w *work) move(ctx context.Context, surplus []string) error {
	touched := map[string]bool{}
	for i, name := range surplus {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("move %s aside: %w", name, err)
		}
		to, err := w.aside(name)
		if err != nil {
			return fmt.Errorf("move %s aside: %w", name, err)
		}
		if err := w.root.step("move "+name, func() error { return w.root.root.Rename(name, to) }); err != nil {
			return fmt.Errorf("move %s aside: %w", name, err)
		}
		touched[path.Dir(name)] = true
		w.result.Moved++
		w.report(Progress{Phase: PhaseMove, Files: int64(i + 1), TotalFiles: int64(len(surplus))})
		for dir := path.Dir(to); dir != trashName && !touched[dir]; dir = path.Dir(dir) {
			touched[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(touched)) {
		if err := w.root.sync(dir); err != nil {
			return fmt.Errorf("put %s on disk: %w", dir, err)
		}
	}
	return nil
}

// aside makes a free place for a file, with its directory.
func (w *work) aside(name string) (string, error) {
	to := path.Join(w.record.Trash, name)
	if err := w.root.mkdirAll(path.Dir(to)); err != nil {
		return "", err
	}
	for i := 1; ; i++ {
		// What an earlier run moved may have been written again before this one.
		there, err := w.root.exists(to)
		if err != nil || !there {
			return to, err
		}
		to = fmt.Sprintf("%s.%d", path.Join(w.record.Trash, name), i)
	}
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// world is a query root as a streaming query treats it: the order of writes, of
// retention and of a rewind. Every state file holds a hash chain, so that a copy
// can be judged: right, unable to start, or silently wrong.
type world struct {
	files map[string]fakeFile
	inode int
	// batch in flight, its step, and the hash of the state of each partition.
	batch, step int
	states      [partitions]string
	salt        int
}

type fakeFile struct {
	content string
	modTime time.Time
	inode   int
}

const (
	partitions = 2
	retained   = 4
)

func newWorld() *world {
	w := &world{files: map[string]fakeFile{}}
	for p := range w.states {
		w.states[p] = chain("empty", p)
	}
	w.put("metadata", `{"id":"simulated"}`)
	for w.batch < 3 {
		w.advance(nil)
	}
	return w
}

func chain(parts ...any) string {
	sum := sha256.Sum256(fmt.Append(nil, parts...))
	return hex.EncodeToString(sum[:8])
}

func (w *world) put(name, content string) {
	w.inode++
	w.files[name] = fakeFile{content, time.Now().Truncate(time.Millisecond), w.inode}
}

func delta(p, version int) string    { return fmt.Sprintf("state/0/%d/%d.delta", p, version) }
func snapshot(p, version int) string { return fmt.Sprintf("state/0/%d/%d.snapshot", p, version) }

// advance makes one step of the query: a write, a purge, or rarely a restart or
// a rewind. All files of a kind have the same size, so that size tells nothing.
func (w *world) advance(rng *rand.Rand) {
	if rng != nil && w.step == 0 && rng.IntN(40) == 0 {
		w.rewind(rng)
		return
	}
	if rng != nil && w.step > 1 && w.step <= partitions+1 && rng.IntN(60) == 0 {
		w.salt += rng.IntN(2) // the driver died and does the batch again, perhaps with other rows
		w.step = 1
		return
	}
	switch step := w.step; {
	case step == 0:
		w.put(fmt.Sprintf("offsets/%d", w.batch), fmt.Sprintf("v1 %6d", w.batch))
	case step <= partitions:
		p := step - 1
		next := chain(w.states[p], w.batch, w.salt, p)
		w.put(delta(p, w.batch+1), w.states[p]+">"+next)
	case step == partitions+1:
		w.commit()
	case step <= 2*partitions+1:
		if p := step - partitions - 2; w.batch%3 == 2 {
			w.put(snapshot(p, w.batch+1), w.states[p])
		}
	default:
		w.purge()
		w.batch, w.step = w.batch+1, -1
	}
	w.step++
}

func (w *world) commit() {
	for p := range w.states {
		_, w.states[p], _ = strings.Cut(w.files[delta(p, w.batch+1)].content, ">")
	}
	w.put(fmt.Sprintf("commits/%d", w.batch), strings.Join(w.states[:], " "))
}

func (w *world) purge() {
	horizon := w.batch - retained
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		dir, version := split(name)
		switch {
		case dir == "offsets" || dir == "commits":
			if version < horizon {
				delete(w.files, name)
			}
		case strings.HasPrefix(dir, "state/") && version < w.newestSnapshot(dir, horizon+1):
			delete(w.files, name)
		}
	}
}

func (w *world) newestSnapshot(dir string, atMost int) int {
	newest := 0
	for name := range w.files {
		if d, v := split(name); d == dir && strings.HasSuffix(name, ".snapshot") && v <= atMost {
			newest = max(newest, v)
		}
	}
	return newest
}

// rewind goes back to an older committed batch, as a restore in place does.
func (w *world) rewind(rng *rand.Rand) {
	target := w.batch - 1 - rng.IntN(3)
	committed, there := w.files[fmt.Sprintf("commits/%d", target)]
	if !there {
		return
	}
	for name := range w.files {
		switch dir, version := split(name); {
		case dir == "offsets" || dir == "commits":
			if version > target {
				delete(w.files, name)
			}
		case strings.HasPrefix(dir, "state/") && version > target+1:
			delete(w.files, name)
		}
	}
	copy(w.states[:], strings.Fields(committed.content))
	w.salt += rng.IntN(2)
	w.batch, w.step = target+1, 0
}

func split(name string) (dir string, version int) {
	base, _, _ := strings.Cut(path.Base(name), ".")
	version, err := strconv.Atoi(base)
	if err != nil {
		return "", -1
	}
	return path.Dir(name), version
}

// restorableSet lists what restores a committed batch, by the rules of a query
// with snapshots and deltas. names is what was seen of the root.
func restorableSet(names []string) (batch int, files []string, err error) {
	batch = -1
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
		if dir, version := split(name); dir == "commits" {
			batch = max(batch, version)
		}
	}
	files = []string{"metadata", fmt.Sprintf("commits/%d", batch), fmt.Sprintf("offsets/%d", batch)}
	if batch > 0 {
		files = append(files, fmt.Sprintf("offsets/%d", batch-1))
	}
	for p := range partitions {
		version := batch + 1
		for version > 0 && !there[snapshot(p, version)] {
			files = append(files, delta(p, version))
			version--
		}
		if version > 0 {
			files = append(files, snapshot(p, version))
		}
	}
	for _, name := range files {
		if !there[name] {
			return 0, nil, fmt.Errorf("%w: %s of batch %d is gone", ErrOvertaken, name, batch)
		}
	}
	return batch, files, nil
}

// judge starts a query on a copy and compares its state with what was committed.
func judge(files map[string]string) error {
	batch, needed, err := restorableSet(slices.Collect(maps.Keys(files)))
	if err != nil {
		return fmt.Errorf("does not start: %w", err)
	}
	for name := range files {
		dir, version := split(name)
		if strings.HasPrefix(dir, "state/") && strings.HasSuffix(name, ".snapshot") && version > batch+1 {
			return fmt.Errorf("silently wrong later: %s is newer than batch %d", name, batch)
		}
		if dir == "offsets" && version > batch+1 {
			return fmt.Errorf("does not start: offsets/%d after commits/%d", version, batch)
		}
	}
	committed := strings.Fields(files[fmt.Sprintf("commits/%d", batch)])
	for p := range partitions {
		state, err := replay(files, needed, p, batch+1)
		if err != nil {
			return err
		}
		if state != committed[p] {
			return fmt.Errorf("silently wrong: state of partition %d is %s, committed was %s", p, state, committed[p])
		}
	}
	return nil
}

func replay(files map[string]string, needed []string, p, upTo int) (string, error) {
	state, from := chain("empty", p), 0
	for _, name := range needed {
		if dir, v := split(name); strings.HasSuffix(name, ".snapshot") && dir == path.Dir(delta(p, 0)) {
			state, from = files[name], v
		}
	}
	for version := from + 1; version <= upTo; version++ {
		before, after, _ := strings.Cut(files[delta(p, version)], ">")
		if before != state {
			return "", fmt.Errorf("silently wrong: %s continues %s, not %s", delta(p, version), before, state)
		}
		state = after
	}
	return state, nil
}

// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"time"
)

// ChangeKind says in which way a root is not the one that was watched before.
type ChangeKind string

// Kinds of changes.
const (
	// ChangeVolume: another directory stands in its place.
	ChangeVolume ChangeKind = "VolumeReplaced"
	// ChangeQuery: the root belongs to a query with another id.
	ChangeQuery ChangeKind = "QueryReplaced"
	// ChangeEmptied: the root held committed batches and holds none.
	ChangeEmptied ChangeKind = "Emptied"
	// ChangeWentBack: the newest committed batch is older than one seen before.
	ChangeWentBack ChangeKind = "WentBack"
)

// Change is what was last noticed of that kind.
type Change struct {
	Kind    ChangeKind `json:"kind"`
	At      time.Time  `json:"at"`
	Message string     `json:"message"`
	// Expected: a command of the agent announced that it works on the root, or a
	// start was permitted since.
	Expected bool `json:"expected"`
}

// place notices that a root was exchanged or taken back.
type place struct {
	volume  Volume
	queryID string
	// high is the newest committed batch ever seen here.
	high    int64
	anyHigh bool
	// worked: a mark of the agent was there since high was seen.
	worked bool
	// recordedBatch is how far the record beside the roots says that the root was.
	recordedBatch int64
	mark          string
	marked        bool
	change        *Change
	// now is the newest committed batch of the last look, or -1; then was that when
	// the change was noticed.
	now, then int64
}

func (p *place) looked(at time.Time, l Look, commit Batch, any bool) {
	p.worked = p.worked || l.Working != ""
	p.now = -1
	if any {
		p.now = commit.Number
	}
	if l.Volume != (Volume{}) {
		if p.volume != (Volume{}) && p.volume != l.Volume {
			p.note(at, ChangeVolume, fmt.Sprintf("another directory (device %d, inode %d) stands where device %d, inode %d was", l.Volume.Device, l.Volume.Inode, p.volume.Device, p.volume.Inode), true)
		}
		p.volume = l.Volume
	}
	switch {
	case p.anyHigh && !any:
		p.back(at, ChangeEmptied, fmt.Sprintf("batch %d was committed, and now none is", p.high))
	case p.anyHigh && commit.Number < p.high:
		p.back(at, ChangeWentBack, fmt.Sprintf("batch %d was committed, and now batch %d is the newest", p.high, commit.Number))
	case any:
		if p.anyHigh && commit.Number > p.high {
			p.worked = l.Working != ""
		}
		p.high, p.anyHigh = commit.Number, true
		if p.change != nil && (p.change.Kind == ChangeEmptied || p.change.Kind == ChangeWentBack) {
			p.change.Expected = true // It is where it was, or further.
		}
	}
	if p.worked && p.change != nil && !p.change.Expected {
		p.accept(commit, any)
	}
}

// back notes that batches are gone, once.
func (p *place) back(at time.Time, kind ChangeKind, message string) {
	if p.change != nil && !p.change.Expected && p.change.Kind == kind {
		p.change.Message = message
		return
	}
	p.note(at, kind, message, false)
}

// accept starts to count from what is there.
func (p *place) accept(commit Batch, any bool) {
	p.change.Expected = true
	p.high, p.anyHigh = commit.Number, any
}

func (p *place) note(at time.Time, kind ChangeKind, message string, expected bool) {
	if expected && p.change != nil && !p.change.Expected {
		return // What is worse stays.
	}
	p.change, p.then = &Change{Kind: kind, At: at, Message: message, Expected: expected}, p.now
}

func (p *place) identified(at time.Time, id string) {
	if id == "" {
		return
	}
	if p.queryID != "" && p.queryID != id {
		p.note(at, ChangeQuery, fmt.Sprintf("the root belongs to query %s, before it was %s", id, p.queryID), p.worked)
	}
	p.queryID = id
}

// recorded takes the record that the guard writes when it lets a driver start: what
// is there then is what the pipeline goes on with. The record of an old copy is
// older than that copy's newest batch, and permits nothing.
func (p *place) recorded(batch int64, mark string) {
	if p.mark != mark && p.change != nil && !p.change.Expected && batch >= p.then {
		p.change.Expected = true
		p.anyHigh = batch >= 0
		p.high = max(batch, 0)
	}
	p.recordedBatch, p.mark, p.marked = batch, mark, true
}

// older says that the root does not hold what the record beside it says.
func (p *place) older(commit Batch, any bool) (string, bool) {
	switch {
	case !p.marked || p.recordedBatch < 0 || p.worked:
		return "", false
	case !any:
		return fmt.Sprintf("batch %d is on record as committed, and none is", p.recordedBatch), true
	case commit.Number < p.recordedBatch:
		return fmt.Sprintf("batch %d is on record as committed, and batch %d is the newest", p.recordedBatch, commit.Number), true
	}
	return "", false
}

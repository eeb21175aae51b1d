// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"sync"
	"time"
)

// Phase names what a run is doing.
type Phase string

// Phases.
const (
	PhaseCopy    Phase = "copy"
	PhaseVerify  Phase = "verify"
	PhaseRestore Phase = "restore"
	PhasePrune   Phase = "prune"
)

// Progress is how far a run is. Totals are 0 while they are unknown.
type Progress struct {
	Phase                Phase
	Files, TotalFiles    int64
	Bytes, TotalBytes    int64
	SentFiles, SentBytes int64
	Attempt              int
	Root                 string
}

// meter counts and reports now and then.
type meter struct {
	mu     sync.Mutex
	state  Progress
	report func(Progress)
	last   time.Time
}

const reportEvery = 250 * time.Millisecond

func (m *meter) add(change func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.state)
	if now := time.Now(); now.Sub(m.last) >= reportEvery {
		m.last = now
		m.report(m.state)
	}
}

func (m *meter) flush() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report(m.state)
	return m.state
}

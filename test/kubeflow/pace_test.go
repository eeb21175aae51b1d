// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"sparkpipeline.dev/operator/test/kubeflow/recording"
	"sparkpipeline.dev/operator/test/kubeflow/simulation"
)

// pace lets Spark and the kubelet take a step when everything has happened that had
// happened before that step when it was recorded. What the controller does is held
// back by nothing: if it does something else, or in another order, the moments
// differ, or a step waits in vain and the test runs into its deadline. Steps that
// were not recorded, and all before recording begins, are taken at once.
type pace struct {
	durations simulation.Durations
	// executors says whether executors' moments hold steps back too.
	executors bool

	mu       sync.Mutex
	recorded []recording.Moment
	recorder *recording.Recorder
	// submits are the recorded results of submissions, by index; submitted is how
	// many there were so far.
	submits   []int
	submitted int
	// during is what is to happen during submissions.
	during map[int]func()
}

func newPace(executors bool) *pace {
	return &pace{executors: executors, durations: simulation.Durations{simulation.GiveUp: second}, during: map[int]func(){}}
}

// follow makes the pace follow a recording from now on.
func (p *pace) follow(recorded []recording.Moment, recorder *recording.Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recorded, p.recorder = recorded, recorder
	for i, m := range recorded {
		driver := m.Kind == recording.Driver && m.What == "Pending"
		refused := m.Kind == recording.Application && strings.HasPrefix(m.What, "SUBMISSION_FAILED")
		if !m.Initial && (driver || refused) {
			p.submits = append(p.submits, i)
		}
	}
}

// Wait implements simulation.Pace.
func (p *pace) Wait(ctx context.Context, step simulation.Step) error {
	if err := p.durations.Wait(ctx, step); err != nil {
		return err
	}
	p.mu.Lock()
	recorder := p.recorder
	p.mu.Unlock()
	if recorder == nil {
		return nil
	}
	index, err := p.index(ctx, step)
	if err != nil || index < 0 {
		return err
	}
	return recorder.Until(ctx, func() bool { return p.happenedBefore(index) })
}

// happenedBefore says whether as much has happened as before a recorded moment.
func (p *pace) happenedBefore(index int) bool {
	for _, kind := range []recording.Kind{recording.Application, recording.Driver, recording.Set, recording.Executor} {
		if kind == recording.Executor && !p.executors {
			continue
		}
		var before int
		for _, m := range p.recorded[:index] {
			if m.Kind == kind {
				before++
			}
		}
		if p.recorder.Count(kind) < before {
			return false
		}
	}
	return true
}

// index is the recorded moment that a step leads to, or -1.
func (p *pace) index(ctx context.Context, step simulation.Step) (int, error) {
	if step.Kind == simulation.Submit {
		return p.nextSubmit(), nil
	}
	if step.Pod.Labels["spark-role"] != "driver" {
		return -1, nil
	}
	var subject string
	err := p.recorder.Until(ctx, func() (known bool) {
		subject, known = p.recorder.Subject(step.Pod.UID)
		return known
	})
	if err != nil {
		return 0, err
	}
	return p.find(subject, step.Kind), nil
}

// nextSubmit counts a submission, lets happen what is to happen during it, and
// answers with the moment that was its result.
func (p *pace) nextSubmit() int {
	p.mu.Lock()
	n := p.submitted
	p.submitted++
	meanwhile := p.during[n]
	p.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	if n < len(p.submits) {
		return p.submits[n]
	}
	return -1
}

// find is the moment that a step of a driver leads to.
func (p *pace) find(subject string, kind simulation.Kind) int {
	appeared := slices.IndexFunc(p.recorded, func(m recording.Moment) bool { return m.Kind == recording.Driver && m.Subject == subject })
	return slices.IndexFunc(p.recorded, func(m recording.Moment) bool {
		if m.Initial {
			return false
		}
		if m.Kind == recording.Set {
			// A set belongs to the driver that ran when it appeared, and appears as
			// many times as drivers got so far.
			return p.setOf(m.Subject) == subject &&
				(kind == simulation.Allocate && m.What != recording.Gone || kind == simulation.Stop && m.What == recording.Gone)
		}
		if m.Kind != recording.Driver || m.Subject != subject || appeared < 0 {
			return false
		}
		switch kind {
		case simulation.Init:
			return strings.Contains(m.What, "init exit") || strings.Contains(m.What, "running")
		case simulation.Start:
			return m.What == "Running, running"
		case simulation.Ready:
			return m.What == "Running, running, ready"
		case simulation.Crash, simulation.Quit, simulation.GraceOver:
			return strings.Contains(m.What, "exit ")
		case simulation.Finish:
			return strings.HasPrefix(m.What, "Failed") || strings.HasPrefix(m.What, "Succeeded")
		case simulation.Remove:
			return m.What == recording.Gone
		}
		return false
	})
}

// setOf is the driver that a set belongs to: the last one to appear before it.
func (p *pace) setOf(set string) string {
	driver := ""
	for _, m := range p.recorded {
		if m.Kind == recording.Driver && m.What != recording.Gone && (m.Initial || m.What == "Pending") {
			driver = m.Subject
		}
		if m.Kind == recording.Set && m.Subject == set {
			if m.Initial {
				return "1"
			}
			return driver
		}
	}
	return driver
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

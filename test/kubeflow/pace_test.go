// SPDX-License-Identifier: Apache-2.0

package kubeflow_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/gomega"

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
	// submits are the recorded results of submissions, by the number of the try: a
	// try may have several, when the first one's status update conflicts. One that
	// reads an old status submits too, and has none.
	submits map[int32][]int
	// free says why a submission must not begin.
	free func(context.Context) error
	// during is what is to happen during the first submission.
	during func()
	// quiet waits until nothing is left to do about a driver's executors. It is
	// called before a driver ends by itself: an event that is still to be looked at
	// would let the controller notice that end before the pod's phase tells it.
	quiet func(context.Context) error
}

func newPace(executors bool) *pace {
	return &pace{executors: executors, durations: simulation.Durations{
		// Before a pod has its last phase, and before it is gone, is time
		// enough for the controller to do what it must not do yet.
		simulation.Finish: 2 * second, simulation.Remove: 2 * second, simulation.GiveUp: second}, submits: map[int32][]int{}}
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
			attempt := attemptAt(recorded[i:])
			p.submits[attempt] = append(p.submits[attempt], i)
		}
	}
}

// attemptAt is the number of the try whose result comes first: the application's
// next moment counts it.
func attemptAt(rest []recording.Moment) int32 {
	for _, m := range rest {
		if m.Kind == recording.Application {
			_, text, _ := strings.Cut(m.What, " executions, ")
			number, _, _ := strings.Cut(text, " ")
			n, err := strconv.ParseInt(number, 10, 32)
			Expect(err).NotTo(HaveOccurred(), m.What)
			return int32(n)
		}
	}
	return 0
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
	if step.Kind == simulation.Submit {
		if err := p.free(ctx); err != nil {
			return err
		}
	}
	index, err := p.index(ctx, step)
	if err != nil || index < 0 {
		return err
	}
	if err := recorder.Until(ctx, func() bool { return p.happenedBefore(index) }); err != nil {
		return err
	}
	if step.Kind == simulation.Crash || step.Kind == simulation.Quit {
		return p.quiet(ctx)
	}
	return nil
}

// happenedBefore says whether as much has happened to each object as before a
// recorded moment.
func (p *pace) happenedBefore(index int) bool {
	return happened(p.recorder, p.recorded[:index], p.executors)
}

// happened says whether as much has happened to each object as was recorded.
func happened(recorder *recording.Recorder, recorded []recording.Moment, executors bool) bool {
	want := map[[2]string]int{}
	for _, m := range recorded {
		if m.Kind != recording.Executor || executors {
			want[[2]string{string(m.Kind), m.Subject}]++
		}
	}
	for of, n := range want {
		if recorder.Count(recording.Kind(of[0]), of[1]) < n {
			return false
		}
	}
	return true
}

// index is the recorded moment that a step leads to, or -1.
func (p *pace) index(ctx context.Context, step simulation.Step) (int, error) {
	if step.Kind == simulation.Submit {
		return p.nextSubmit(step.Attempt), nil
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

// nextSubmit lets happen what is to happen during the first submission, and answers
// with the moment that was the result of this one.
func (p *pace) nextSubmit(attempt int32) int {
	p.mu.Lock()
	meanwhile := p.during
	p.during = nil
	index := -1
	if results := p.submits[attempt]; len(results) > 0 {
		index, p.submits[attempt] = results[0], results[1:]
	}
	p.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	return index
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

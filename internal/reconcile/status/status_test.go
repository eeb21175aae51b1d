// SPDX-License-Identifier: Apache-2.0

package status

import (
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// good is a pass over a healthy pipeline.
func good(change ...func(*Pass)) Pass {
	p := Pass{
		Namespace: "data", Selector: "sparkpipeline.dev/pipeline=orders", Applied: true,
		Children:    []v1alpha1.ChildStatus{{Kind: "Service", Namespace: "data", Name: "orders-web", Ready: true}},
		Decision:    &application.Decision{Step: application.StepNone, Running: true, Reason: v1alpha1.ReasonRunning, Message: "the driver runs"},
		Application: &v1alpha1.ApplicationStatus{State: "RUNNING"},
		Executors:   &v1alpha1.ExecutorsStatus{Ready: 3, Wanted: 5},
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func find(t *testing.T, s v1alpha1.SparkPipelineStatus, kind string) metav1.Condition {
	t.Helper()
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

func TestReady(t *testing.T) {
	for _, c := range []struct {
		name         string
		pass         Pass
		ready        metav1.ConditionStatus
		reason       string
		reconciling  bool
		stalled      bool
		waitsMessage string
	}{
		{"is True when all is well", good(), "True", "Ready", false, false, ""},
		{"is True while suspended", good(func(p *Pass) {
			p.Suspended = true
			p.Decision = &application.Decision{Running: true, Reason: "Suspended"}
		}), "True", "Suspended", false, false, ""},
		{"is not held back by missing backups", good(func(p *Pass) { p.NoBucket = true }), "True", "Ready", false, false, ""},
		{"is not held back by a missing optional API", good(func(p *Pass) { p.Missing = []string{"ServiceMonitor"} }), "True", "Ready", false, false, ""},
		{"waits for a person when the spec cannot be built", Pass{Failure: &Failure{Condition: v1alpha1.ConditionAccepted, Reason: "InvalidSpec", Message: "spec.x: found y"}},
			"False", "InvalidSpec", false, true, "found y"},
		{"waits for a person when the name is taken", good(func(p *Pass) {
			p.Failure = &Failure{Condition: v1alpha1.ConditionApplied, Reason: "NotOwned", Message: "Service data/x is not ours"}
		}), "False", "NotOwned", false, true, "not ours"},
		{"waits for a machine when a quota is full", good(func(p *Pass) {
			p.Failure = &Failure{Condition: v1alpha1.ConditionApplied, Reason: "QuotaExceeded", Message: "exceeded quota"}
		}), "False", "QuotaExceeded", true, false, "quota"},
		{"waits for the application", good(func(p *Pass) {
			p.Decision = &application.Decision{Reason: "Starting", Message: "waits until the driver runs"}
		}), "False", "Starting", true, false, "driver"},
		{"waits for a person when the backend gave up", good(func(p *Pass) {
			p.Decision = &application.Decision{Reason: "ApplicationFailed"}
		}), "False", "ApplicationFailed", false, true, ""},
		{"waits for a person when a claim is lost", good(func(p *Pass) { p.Lost = []string{"PersistentVolumeClaim data/orders-checkpoint"} }),
			"False", "ClaimLost", false, true, "orders-checkpoint"},
		{"waits for a child", good(func(p *Pass) { p.Waiting = []string{"Deployment data/orders-history: 0 of 1"} }), "False", "Waiting", true, false, "orders-history"},
		{"is Unknown when the pass could not look", Pass{}, "Unknown", "NotObserved", true, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Compute(v1alpha1.SparkPipelineStatus{}, 3, c.pass, now)
			ready := s.Conditions[0]
			if ready.Type != "Ready" || ready.Status != c.ready || ready.Reason != c.reason {
				t.Errorf("got %+v", ready)
			}
			if got := find(t, s, "Reconciling").Status == "True"; got != c.reconciling {
				t.Errorf("Reconciling %t", got)
			}
			if got := find(t, s, "Stalled").Status == "True"; got != c.stalled {
				t.Errorf("Stalled %t", got)
			}
			if (s.WaitingFor == nil) != (c.ready == "True") {
				t.Errorf("waits for %+v", s.WaitingFor)
			}
			if s.WaitingFor != nil && !strings.Contains(s.WaitingFor.Message, c.waitsMessage) {
				t.Errorf("waits for %q", s.WaitingFor.Message)
			}
			for _, condition := range s.Conditions {
				if condition.ObservedGeneration != 3 || condition.Reason == "" {
					t.Errorf("condition %+v", condition)
				}
			}
		})
	}
}

func TestTimesMoveOnlyWithTheirValues(t *testing.T) {
	first := Compute(v1alpha1.SparkPipelineStatus{}, 1, good(func(p *Pass) {
		p.Decision = &application.Decision{Reason: "Starting"}
	}), now)
	second := Compute(first, 1, good(func(p *Pass) {
		p.Decision = &application.Decision{Reason: "Starting"}
	}), now.Add(time.Minute))
	if !second.WaitingFor.Since.Time.Equal(now) || !second.Conditions[0].LastTransitionTime.Time.Equal(now) {
		t.Errorf("the same wait got another time: %+v", second.WaitingFor)
	}
	third := Compute(second, 1, good(), now.Add(2*time.Minute))
	if got := third.Conditions[0].LastTransitionTime.Time; !got.Equal(now.Add(2 * time.Minute)) {
		t.Errorf("Ready changed and its time is %s", got)
	}
}

func TestAPassThatStoppedEarlyKeepsWhatWasKnown(t *testing.T) {
	first := Compute(v1alpha1.SparkPipelineStatus{}, 1, good(), now)
	second := Compute(first, 2, Pass{Failure: &Failure{Condition: v1alpha1.ConditionAccepted, Reason: "InvalidSpec"}}, now)
	if len(second.Children) != 1 || second.Application == nil || second.Executors.Summary != "3/5" {
		t.Errorf("got %+v", second)
	}
	if second.ObservedGeneration != 2 {
		t.Errorf("observed generation %d", second.ObservedGeneration)
	}
}

func TestMessagesAreStableAndShort(t *testing.T) {
	many := []string{"f", "e", "d", "c", "b", "a", "g"}
	a := Compute(v1alpha1.SparkPipelineStatus{}, 1, good(func(p *Pass) { p.Waiting = many }), now)
	if got := a.Conditions[0].Message; got != "a; b; c; d; e; and 2 more" {
		t.Errorf("message %q", got)
	}
	long := Compute(v1alpha1.SparkPipelineStatus{}, 1, good(func(p *Pass) { p.Waiting = []string{strings.Repeat("ä", 4096)} }), now)
	if n := len(long.Conditions[0].Message); n > 1100 {
		t.Errorf("message of %d bytes", n)
	}
}

// Every reason that waits for a person stands in the runbooks.
func TestReasonsThatWaitForAPersonAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/runbooks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range waitsForPerson {
		if !strings.Contains(string(page), "| `"+reason+"` |") {
			t.Errorf("the runbooks do not say what to do about %s", reason)
		}
	}
}

func TestProgressIsStampedWhenItsStateChanges(t *testing.T) {
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	s := v1alpha1.SparkPipelineStatus{}
	for _, step := range []struct {
		minute  int
		report  *Report
		summary string
		since   *time.Time
	}{
		{0, nil, "Unknown", nil},
		{1, &Report{Watched: true, State: v1alpha1.ProgressAdvancing}, "Advancing", new(at(1))},
		{2, &Report{Watched: true, State: v1alpha1.ProgressAdvancing}, "Advancing", new(at(1))},
		{3, nil, "Advancing", new(at(1))}, // After a restart of the operator.
		{4, &Report{Watched: true, State: v1alpha1.ProgressStalled, Since: at(2)}, "Stalled since 2026-11-24T12:02:00Z", new(at(2))},
		{5, &Report{Watched: true, State: v1alpha1.ProgressStalled, Since: at(2)}, "Stalled since 2026-11-24T12:02:00Z", new(at(2))},
		{6, &Report{Watched: true, State: v1alpha1.ProgressStalled, Since: at(5)}, "Stalled since 2026-11-24T12:05:00Z", new(at(5))},
		{7, &Report{State: v1alpha1.ProgressUnknown}, "Unknown", new(at(7))},
	} {
		s = Compute(s, 1, good(func(p *Pass) { p.Report = step.report }), at(step.minute))
		if p := s.Progress; p.Summary != step.summary || (p.Since == nil) != (step.since == nil) || p.Since != nil && !p.Since.Time.Equal(*step.since) {
			t.Errorf("minute %d: %+v", step.minute, p)
		}
	}
}

func TestConditionsThatReadyDoesNotWaitFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Pass)
		kind   string
		want   string
	}{
		{"no bucket", func(*Pass) {}, "BucketsAccessible", "True/NoBuckets"},
		{"check under way", func(p *Pass) { p.Buckets = &BucketCheck{Pending: true} }, "BucketsAccessible", "Unknown/CheckPending"},
		{"check failed", func(p *Pass) { p.Buckets = &BucketCheck{Message: "s3:PutObject is denied"} }, "BucketsAccessible", "False/CheckFailed"},
		{"check passed", func(p *Pass) { p.Buckets = &BucketCheck{Passed: true} }, "BucketsAccessible", "True/CheckPassed"},
		{"not asked yet", func(*Pass) {}, "CheckpointSound", "Unknown/NotObserved"},
		{"not watched", func(p *Pass) { p.Report = &Report{State: v1alpha1.ProgressUnknown} }, "CheckpointSound", "Unknown/NotWatched"},
		{"no answer", func(p *Pass) { p.Report = &Report{State: v1alpha1.ProgressUnknown, Watched: true} }, "CheckpointSound", "Unknown/NotWatched"},
		{"sound", func(p *Pass) { p.Report = &Report{State: v1alpha1.ProgressIdle, Watched: true} }, "CheckpointSound", "True/Sound"},
		{"second writer", func(p *Pass) {
			p.Report = &Report{State: v1alpha1.ProgressAdvancing, Watched: true, Reason: "SecondWriter", Message: "x"}
		}, "CheckpointSound", "False/SecondWriter"},
	} {
		s := Compute(v1alpha1.SparkPipelineStatus{}, 1, good(c.change), now)
		if got := find(t, s, c.kind); string(got.Status)+"/"+got.Reason != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
		if s.Conditions[0].Status != "True" {
			t.Errorf("%s: Ready waits for it: %+v", c.name, s.Conditions[0])
		}
	}
}

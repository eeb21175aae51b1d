// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
)

// An upgrade of the operator changes renderings; neither it nor an edit after it
// that changes no rendering may restart anything.
func TestAnUpgradeOfTheOperatorIsNoChangeOfTheSpec(t *testing.T) {
	p := &v1alpha1.SparkPipeline{}
	for _, step := range []struct {
		what       string
		generation int64
		renders    string
		restart    bool
	}{
		{"as it was created", 1, "a", false},
		{"an edit that changes no rendering", 2, "a", false},
		{"an upgrade of the operator", 2, "b", false},
		{"an edit that changes no rendering, after it", 3, "b", false},
		{"another upgrade", 3, "c", false},
		{"back to the first version", 3, "a", false},
		{"an edit that changes the rendering", 4, "d", true},
		{"taken back", 5, "a", false},
	} {
		p.Generation = step.generation
		s := &surroundings{}
		s.rendering.Digest = step.renders
		s.run.Application = application.Facts{Installed: true, App: &application.Running{UID: "u", Generation: 1, Digest: "a", SpecGeneration: 1, State: "RUNNING"}}
		settled := settleGeneration(p, s)
		d := application.Decide(application.Wanted{Run: true, Digest: step.renders, Generation: p.Generation, WindowOpen: true, Reasons: []string{"x"}},
			p.Status.Application, s.run.Application, application.DefaultLimits, s.run.Application.App.Created)
		if got := d.Step == application.StepRequestStop; got != step.restart {
			t.Errorf("%s: restart %v, want %v", step.what, got, step.restart)
		}
		p.Status.Application = &v1alpha1.ApplicationStatus{UID: "u", GenerationWritten: 1, RenderingSettled: settled, SpecGeneration: s.run.Application.App.SpecGeneration}
	}
}

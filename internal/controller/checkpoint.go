// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// recall reads what the status remembers of the checkpoint and adds what the guard
// of the present driver has said. A refusal belongs to one application.
func (r *Reconciler) recall(p *v1alpha1.SparkPipeline, s *surroundings) *v1alpha1.CheckpointStatus {
	c := &v1alpha1.CheckpointStatus{}
	if p.Status.Checkpoint != nil {
		c = p.Status.Checkpoint.DeepCopy()
	}
	app := s.run.Application.App
	if c.Refusal != nil && (app == nil || c.Refusal.Application != app.UID) {
		c.Refusal = nil
	}
	if v := s.run.Guard; v != nil && app != nil {
		switch {
		case !v.Refused:
			c.Refusal = nil
			r.committed(p, s, c, v.Committed)
		case c.Refusal == nil || c.Refusal.Reason != v.Reason:
			c.Refusal = &v1alpha1.GuardRefusal{Reason: v.Reason, Message: clip(v.Message), Application: app.UID,
				Since: metav1.NewTime(r.Clock.Now()).Rfc3339Copy()}
		default:
			c.Refusal.Message = clip(v.Message)
		}
	}
	if c.Refusal != nil {
		s.run.Application.GuardRefusal = "the guard refuses the start, " + c.Refusal.Reason + ": " + c.Refusal.Message
	}
	if len(c.Roots) == 0 && c.Refusal == nil && c.ResetAccepted == "" {
		return nil
	}
	return c
}

// committed raises what roots must hold. A start that an accepted reset let through
// begins a new account, and uses the acceptance up.
func (r *Reconciler) committed(p *v1alpha1.SparkPipeline, s *surroundings, c *v1alpha1.CheckpointStatus, seen map[string]int64) {
	roots := map[string]int64{}
	if digest := s.run.Application.App.Digest; accepts(p, digest, c) {
		c.ResetAccepted = digest
	} else {
		for _, root := range c.Roots {
			roots[root.Path] = root.Committed
		}
	}
	for path, batch := range seen {
		roots[path] = max(roots[path], batch)
	}
	c.Roots = nil
	for _, path := range slices.Sorted(maps.Keys(roots)) {
		c.Roots = append(c.Roots, v1alpha1.CheckpointRoot{Path: path, Committed: roots[path]})
	}
}

// clip bounds what a pod has said at what the status holds.
func clip(message string) string {
	const most = 1000
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + " …"
}

// roots of the checkpoint, for the orders of the guard.
func roots(c *v1alpha1.CheckpointStatus) map[string]int64 {
	if c == nil || len(c.Roots) == 0 {
		return nil
	}
	out := map[string]int64{}
	for _, root := range c.Roots {
		out[root.Path] = root.Committed
	}
	return out
}

// accepts says that the spec accepts the loss of the state by the next start of
// this rendering, and that no start has made use of that yet.
func accepts(p *v1alpha1.SparkPipeline, digest string, c *v1alpha1.CheckpointStatus) bool {
	accepted := p.Spec.Restart.AcceptStateReset
	return accepted != "" && accepted == digest && (c == nil || c.ResetAccepted != accepted)
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
)

// recall reads what the status remembers of the checkpoint and adds what the guard
// of the present driver has said, and the watch since. A refusal belongs to one
// application.
func (r *Reconciler) recall(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings) (*v1alpha1.CheckpointStatus, error) {
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
			if err := r.witnessed(ctx, p, c, v); err != nil {
				return nil, err
			}
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
		return nil, nil
	}
	return c, nil
}

// witnessed notes that declared queries have committed a batch since their driver was
// let start, which a guard finds out only at the next start: by then an emptied root
// would pass for a new one. A watch that became ready after the guard has ended has
// seen a batch of each.
func (r *Reconciler) witnessed(ctx context.Context, p *v1alpha1.SparkPipeline, c *v1alpha1.CheckpointStatus, v *observe.Verdict) error {
	known := roots(c)
	var unknown []string
	for _, q := range p.Spec.Checkpoint.Queries {
		if _, ok := known[p.QueryPath(q)]; !ok {
			unknown = append(unknown, p.QueryPath(q))
		}
	}
	if len(unknown) == 0 || v.Ended.IsZero() {
		return nil
	}
	since, err := r.observer().WatchedSince(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: desired.WatchName(p)})
	if err != nil || !since.After(v.Ended) {
		return err
	}
	for _, path := range unknown {
		c.Roots = append(c.Roots, v1alpha1.CheckpointRoot{Path: path})
	}
	slices.SortFunc(c.Roots, func(a, b v1alpha1.CheckpointRoot) int { return strings.Compare(a.Path, b.Path) })
	return nil
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

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/reconcile/status"
)

// applied is what became of the children in a pass.
type applied struct {
	children []desired.Child
	results  []apply.Result
	complete bool
	// pending says that the caches have yet to show a write.
	pending bool
	// startable says that what the application stands on is there; blocked says
	// what is not.
	startable bool
	blocked   string
}

// admit judges what only the surroundings can: whether the namespace is allowed
// and whether the checkpoint is free.
func (r *Reconciler) admit(ctx context.Context, p *v1alpha1.SparkPipeline) error {
	if err := r.namespaceAllowed(ctx, p); err != nil {
		return err
	}
	return r.checkpointFree(ctx, p)
}

func (r *Reconciler) namespaceAllowed(ctx context.Context, p *v1alpha1.SparkPipeline) error {
	if p.Spec.Namespace == "" || p.Spec.Namespace == p.Namespace {
		return nil
	}
	if !r.Defaults.DedicatedNamespaces {
		return &refusedError{v1alpha1.ReasonNamespaceNotAllowed, fmt.Sprintf(
			"spec.namespace is %q; this install of the operator allows none (--dedicated-namespaces=false)", p.Spec.Namespace)}
	}
	own := &metav1.PartialObjectMetadata{}
	own.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Cache.Get(ctx, client.ObjectKey{Name: p.Namespace}, own); err != nil {
		return fmt.Errorf("get namespace %s: %w", p.Namespace, err)
	}
	if desired.NamespaceAllowed(own.Annotations[desired.AnnotationAllowedNamespaces], p.Spec.Namespace) {
		return nil
	}
	return &refusedError{v1alpha1.ReasonNamespaceNotAllowed, fmt.Sprintf(
		"spec.namespace is %q; namespace %s allows %q in its annotation %s, which an admin can extend",
		p.Spec.Namespace, p.Namespace, own.Annotations[desired.AnnotationAllowedNamespaces], desired.AnnotationAllowedNamespaces)}
}

// checkpointFree refuses the later of two pipelines that would share a
// checkpoint or a dedicated namespace.
func (r *Reconciler) checkpointFree(ctx context.Context, p *v1alpha1.SparkPipeline) error {
	if p.Spec.Namespace == "" && p.Spec.Checkpoint.Location == "" {
		return nil
	}
	all := &v1alpha1.SparkPipelineList{}
	if err := r.Cache.List(ctx, all); err != nil {
		return fmt.Errorf("list SparkPipelines: %w", err)
	}
	for i := range all.Items {
		if why := desired.Overlap(p, &all.Items[i]); why != "" {
			return &refusedError{v1alpha1.ReasonCheckpointInUse, why}
		}
	}
	return nil
}

// resolve makes the choices that depend on the surroundings, once.
func (r *Reconciler) resolve(p *v1alpha1.SparkPipeline) *v1alpha1.ResolvedChoices {
	if p.Spec.Security.Encryption != v1alpha1.SecurityAuto {
		return &v1alpha1.ResolvedChoices{Encryption: p.Spec.Security.Encryption}
	}
	if before := p.Status.Resolved; before != nil && before.Encryption != "" && before.Auto {
		return before.DeepCopy()
	}
	choice := &v1alpha1.ResolvedChoices{Encryption: v1alpha1.SecurityAES, Auto: true}
	if p.SparkAtLeast(4, 0) && r.APIs.Installed(desired.CertificateKind) {
		choice.Encryption = v1alpha1.SecurityTLS
	}
	return choice
}

// input gathers what builders may look at.
func (r *Reconciler) input(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings, resolved *v1alpha1.ResolvedChoices) (desired.Input, error) {
	servers, err := r.observer().APIServers(ctx)
	if err != nil {
		return desired.Input{}, err
	}
	return desired.Input{Pipeline: p, Defaults: r.Defaults, Facts: desired.Facts{
		AppSelector: s.run.AppSelector,
		Encryption:  resolved.Encryption,
		Executors:   nextSize(p, s.bounds),
		Bounds:      &s.bounds,
		APIServers:  servers,
		NoSnapshots: r.noSnapshots(),
	}}, nil
}

// noSnapshots says why no claim can be snapshotted here; empty: nothing is against it.
func (r *Reconciler) noSnapshots() string {
	if r.APIs.Installed(desired.SnapshotKind) {
		return ""
	}
	return "the cluster does not serve VolumeSnapshots of " + desired.SnapshotKind.GroupVersion().String()
}

// applyChildren renders the children and applies what was touched or is new.
func (r *Reconciler) applyChildren(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings, pass *status.Pass) (applied, error) {
	out := applied{}
	children, err := desired.Render(r.Scheme, s.input)
	if err != nil {
		return out, err
	}
	problems, err := desired.Judge(p)
	if err != nil {
		return out, err
	}
	for _, problem := range problems {
		pass.BackupProblems = append(pass.BackupProblems, problem.String())
	}
	pass.SnapshotsOff = desired.SnapshotsOff(s.input)
	items := make([]apply.Item, len(children))
	for i, c := range children {
		items[i] = apply.Item{Object: c.Object, Wave: c.Wave, Durable: c.Durable, Once: c.Once,
			Missing: !r.APIs.Installed(c.Object.GroupVersionKind())}
		if c.Once {
			items[i].Fill = fillSecret
		}
		items[i].Adopt = c.Adopt
	}
	out.children = children
	remembered := p.Status.Children
	if s.input.Facts.Reset {
		// A claim that is gone may be made again: its loss was accepted.
		remembered = slices.DeleteFunc(slices.Clone(remembered), func(c v1alpha1.ChildStatus) bool { return c.Reason == v1alpha1.ReasonClaimLost })
	}
	out.results, err = r.Engine.Apply(ctx, desired.OwnerLabels(p), items, remembered)
	out.complete = err == nil
	pass.Applied = true
	r.account(ctx, p, s, &out, pass)
	if checked := r.checked(ctx, children, pass); err == nil {
		err = checked
	}
	return out, err
}

// checked reads what the check of the buckets has said.
func (r *Reconciler) checked(ctx context.Context, children []desired.Child, pass *status.Pass) error {
	i := slices.IndexFunc(children, func(c desired.Child) bool { return c.Name == desired.ChildCheck })
	if i < 0 {
		return nil
	}
	check, err := r.observer().Check(ctx, client.ObjectKeyFromObject(children[i].Object))
	pass.Buckets = &status.BucketCheck{Passed: check.Passed, Pending: check.Pending || err != nil, Message: check.Message}
	return err
}

// account sorts the results into what the status tells.
func (r *Reconciler) account(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings, out *applied, pass *status.Pass) {
	out.startable = true
	for i, result := range out.results {
		c := out.children[i]
		child := result.Memory
		out.pending = out.pending || result.Pending
		what := describe(c.Object)
		switch result.Outcome {
		case apply.Missing:
			pass.Missing = append(pass.Missing, what)
			continue
		case apply.Lost:
			child.Reason = v1alpha1.ReasonClaimLost
			pass.Lost = append(pass.Lost, what)
			out.blocked = what + " is gone; starting without it would begin the stream from nothing"
		case apply.Terminating:
			child.Reason = "Terminating"
			if c.Durable {
				child.Reason = v1alpha1.ReasonClaimTerminating
				pass.Terminating = append(pass.Terminating, what)
				out.blocked = what + " is being deleted"
			} else {
				pass.Waiting = append(pass.Waiting, what+" is being deleted")
			}
		case apply.Failed, apply.Blocked:
			child.Reason = v1alpha1.ReasonRetrying
			out.startable = out.startable && c.Wave > desired.LastWaveBeforeStart
		default:
			child.Ready = true
			if why := r.waiting(ctx, c.Object, result); why != "" {
				child.Ready, child.Reason = false, v1alpha1.ReasonWaiting
				if !c.Aside {
					pass.Waiting = append(pass.Waiting, what+": "+why)
				}
			}
			r.tellChild(p, result, what)
		}
		pass.Children = append(pass.Children, child)
	}
	slices.SortFunc(pass.Children, compareChildren)
}

// waiting looks, in the caches, at children that can be applied and not ready.
func (r *Reconciler) waiting(ctx context.Context, o *unstructured.Unstructured, result apply.Result) string {
	if !observe.HasReadiness(o.GroupVersionKind().GroupKind()) {
		return ""
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	err := r.Cache.Get(ctx, client.ObjectKeyFromObject(o), live)
	if apierrors.IsNotFound(err) {
		// Hidden from the cache by somebody who took a label, and back in a moment.
		if result.Before.Ready && result.Before.UID == result.Memory.UID {
			return ""
		}
		// Just created, and not yet in the cache: it has no status.
		return observe.Waiting(o)
	}
	if err != nil {
		return "cannot be looked at"
	}
	return observe.Waiting(live)
}

// prune removes children that the spec no longer asks for. It runs only after
// every child was applied: one that failed is missing from what to keep.
func (r *Reconciler) prune(ctx context.Context, p *v1alpha1.SparkPipeline, a applied) error {
	if !a.complete {
		return nil
	}
	keep := make([]*unstructured.Unstructured, len(a.children))
	for i, c := range a.children {
		keep[i] = c.Object
	}
	if kept := desired.KeptRevision(p); kept != nil {
		keep = append(keep, kept)
	}
	if err := r.Engine.Prune(ctx, desired.OwnerLabels(p), r.APIs.Kinds(), keep); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}

func describe(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

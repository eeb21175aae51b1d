// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/reconcile/status"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// +kubebuilder:rbac:groups=sparkoperator.k8s.io,resources=sparkapplications,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch

// surroundings is what a pass found, and what it makes of the application.
type surroundings struct {
	input     desired.Input
	run       observe.Run
	rendering desired.Rendering
	wanted    application.Wanted
	decision  application.Decision
	// invalid is why the application cannot be rendered.
	invalid error
	// bounds of scaling that are in force, and until when; zero: for good.
	bounds      desired.Bounds
	boundsUntil time.Time
	// settled is the digest that the present operator renders of the generation
	// that the run is of.
	settled string
}

// look gathers facts and decides what to do with the application.
func (r *Reconciler) look(ctx context.Context, p *v1alpha1.SparkPipeline, pass *status.Pass) (*surroundings, error) {
	run, err := r.observer().Run(ctx, p, p.WorkloadNamespace(), r.APIs.Installed(sparkapi.GroupVersionKind))
	if err != nil {
		return nil, err
	}
	r.Metrics.count(client.ObjectKeyFromObject(p), run.Failures)
	s := &surroundings{run: run}
	if err := r.settle(ctx, p, s); err != nil {
		return nil, err
	}
	s.bounds, s.boundsUntil = desired.ScalingBounds(p.Spec.Scaling, r.Clock.Now())
	if pass.Checkpoint, err = r.recall(ctx, p, s); err != nil {
		return nil, err
	}
	pass.Resolved = r.resolve(p)
	if pass.LastBackup, err = r.observer().LastBackup(ctx, p); err != nil {
		return nil, err
	}
	if pass.Report, err = r.watched(ctx, p); err != nil {
		return nil, err
	}
	s.input, err = r.input(ctx, p, s, pass.Resolved)
	if err != nil {
		return nil, err
	}
	s.rendering, s.invalid = desired.Application(r.Scheme, s.input)
	s.settled = settleGeneration(p, s)
	s.input.Facts.Roots = roots(pass.Checkpoint)
	s.input.Facts.Reset = s.invalid == nil && accepts(p, s.rendering.Digest, pass.Checkpoint)
	s.wanted = r.wanted(p, s)
	s.wanted.ResetUsed = !s.input.Facts.Reset
	s.decision = application.Decide(s.wanted, p.Status.Application, s.run.Application, r.Limits, r.Clock.Now())
	if s.invalid != nil && s.wanted.Run {
		// What runs goes on; what does not run cannot start.
		s.decision = application.Decision{Step: application.StepNone, Running: run.DriverReady,
			Reason: v1alpha1.ReasonInvalidSpec, Message: "the application cannot be rendered; what runs goes on"}
	}
	pass.Decision = &s.decision
	pass.Application = record(p.Status.Application, s)
	pass.Executors = executors(p, s)
	r.markHealthy(p, s, pass)
	return s, nil
}

// settleGeneration tells a change of the spec from one of the operator. The run is of the
// newest generation whose rendering is that of the run; what the same generation
// renders to after an upgrade of the operator is noted, so that a later edit of
// the spec is compared with that, and one that changes no rendering restarts
// nothing either.
func settleGeneration(p *v1alpha1.SparkPipeline, s *surroundings) string {
	app := s.run.Application.App
	if app == nil || s.invalid != nil {
		return recorded(p).RenderingSettled
	}
	settled := app.Digest
	if before := recorded(p); before.UID == app.UID && before.RenderingSettled != "" {
		settled = before.RenderingSettled
		app.SpecGeneration = max(app.SpecGeneration, before.SpecGeneration)
	}
	if s.rendering.Digest == app.Digest || s.rendering.Digest == settled {
		app.SpecGeneration = p.Generation
	}
	if app.SpecGeneration == p.Generation {
		settled = s.rendering.Digest
	}
	return settled
}

// markHealthy notes the running rendering as healthy once its driver is ready. Its
// payload can be kept only while it is also the wanted one: another one is not at
// hand.
func (r *Reconciler) markHealthy(p *v1alpha1.SparkPipeline, s *surroundings, pass *status.Pass) {
	if s.invalid == nil && s.run.DriverReady && s.run.App != nil && s.run.Application.App.Digest == s.rendering.Digest {
		pass.Application.LastHealthyRendering = s.rendering.Digest
		s.input.Facts.Healthy = &s.rendering
	}
}

// settle waits for the cache to show an object that was just created. A cache
// that does not show it in time is asked about by one read.
func (r *Reconciler) settle(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings) error {
	key := client.ObjectKeyFromObject(p)
	created, ok := r.writes.unseen(key)
	if !ok {
		return nil
	}
	if s.run.App != nil {
		r.writes.seen(key)
		return nil
	}
	const patience = 5 * time.Second
	if r.Clock.Since(created.at) < patience {
		s.run.Application.App = &application.Running{UID: created.uid, Generation: 1, Created: created.at,
			Digest: created.digest, SpecGeneration: created.generation}
		return nil
	}
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(sparkapi.GroupVersionKind)
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name}, meta)
	if apierrors.IsNotFound(err) {
		r.writes.seen(key)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the SparkApplication that was created: %w", err)
	}
	return errors.New("the cache has not shown the SparkApplication that was created")
}

func recorded(p *v1alpha1.SparkPipeline) v1alpha1.ApplicationStatus {
	if p.Status.Application == nil {
		return v1alpha1.ApplicationStatus{}
	}
	return *p.Status.Application
}

// wanted is the run that the spec asks for, beside the one there is.
func (r *Reconciler) wanted(p *v1alpha1.SparkPipeline, s *surroundings) application.Wanted {
	w := application.Wanted{
		Run: true, Digest: s.rendering.Digest, Generation: p.Generation, Change: v1alpha1.ChangeNone,
		AcceptStateReset: p.Spec.Restart.AcceptStateReset, WindowOpen: true,
	}
	if p.Spec.Suspend {
		w.Run, w.StopReason = false, application.StopSuspended
	}
	before := desired.Rendering{Digest: recorded(p).RenderingRunning, StateIdentity: recorded(p).StateIdentity}
	if s.run.App != nil {
		before = desired.Rendering{Digest: s.run.Application.App.Digest, StateIdentity: s.run.StateIdentity}
	}
	if before.Digest != "" && s.invalid == nil {
		w.Change, w.Reasons = desired.Classify(before, s.rendering)
	}
	if len(p.Spec.MaintenanceWindows) > 0 {
		w.WindowOpen, w.NextWindow = desired.MaintenanceWindow(p.Spec.MaintenanceWindows, r.Clock.Now())
	}
	return w
}

// stop takes the step that the decision asks for if it is one towards a stop. It
// answers whether the pass is to end and begin anew.
func (r *Reconciler) stop(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings, pass *status.Pass) (bool, error) {
	switch s.decision.Step {
	case application.StepRequestStop:
		if s.decision.Replace {
			if err := r.rehearse(ctx, s); err != nil {
				s.decision.Step, s.decision.Running = application.StepNone, s.run.DriverReady
				s.decision.Reason = v1alpha1.ReasonStartRefused
				s.decision.Message = "the API server would refuse the next application, so the running one goes on: " + stable(err)
				return false, nil
			}
		}
		pass.Application.StopRequested = &v1alpha1.StopRequest{
			Reason: s.decision.StopReason, Since: metav1.NewTime(r.Clock.Now()).Rfc3339Copy()}
		return true, nil
	case application.StepSuspend:
		return false, r.suspend(ctx, s, pass)
	case application.StepDelete:
		return false, r.remove(ctx, p, s)
	}
	return false, nil
}

// rehearse asks the API server, its quotas and its webhooks whether they would
// take the next application, so that their refusal turns no restart into an
// outage. The name differs because the present one still stands.
func (r *Reconciler) rehearse(ctx context.Context, s *surroundings) error {
	next := s.rendering.Object.DeepCopy()
	next.SetName(next.GetName() + "-next")
	if err := r.Client.Create(ctx, next, client.DryRunAll, client.FieldOwner(apply.FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("rehearse the creation of the SparkApplication: %w", err)
	}
	return nil
}

// suspend asks the backend to stop the run. The UID in the patch keeps it from
// reaching another object of that name.
func (r *Reconciler) suspend(ctx context.Context, s *surroundings, pass *status.Pass) error {
	app := &sparkapi.SparkApplication{ObjectMeta: metav1.ObjectMeta{Name: s.run.App.Name, Namespace: s.run.App.Namespace}}
	patch := fmt.Sprintf(`{"metadata":{"uid":%q},"spec":{"suspend":true}}`, s.run.App.UID)
	err := r.Client.Patch(ctx, app, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(apply.FieldManager))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("suspend the SparkApplication: %w", err)
	}
	pass.Application.GenerationWritten = app.Generation
	return nil
}

// remove passes the fence, if the run was alive, and deletes the object.
func (r *Reconciler) remove(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings) error {
	if s.decision.Fence {
		if err := r.fence(ctx, p, s); err != nil || s.decision.Step == application.StepAwait {
			return err
		}
	}
	app := &sparkapi.SparkApplication{ObjectMeta: metav1.ObjectMeta{Name: s.run.App.Name, Namespace: s.run.App.Namespace}}
	err := r.Client.Delete(ctx, app, client.Preconditions{UID: &s.run.App.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the SparkApplication: %w", err)
	}
	return nil
}

// fence asks the API server itself whether any pod of an earlier run is left:
// one that carries the pipeline's label or mounts the claim writable. If so the
// decision becomes a wait.
func (r *Reconciler) fence(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings) error {
	pods := &corev1.PodList{}
	if err := r.Live.List(ctx, pods, client.InNamespace(p.WorkloadNamespace())); err != nil {
		return fmt.Errorf("list pods for the fence: %w", err)
	}
	claim := desired.CheckpointClaim(s.input)
	var left []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if observe.Live(pod) && (pod.Labels[desired.LabelPipeline] == p.Name || mountsWritable(pod, claim)) {
			left = append(left, pod.Name)
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	s.decision = application.Decision{Step: application.StepAwait, Reason: v1alpha1.ReasonFenced, Replace: s.decision.Replace,
		Message: fmt.Sprintf("waits until %d pods of an earlier run are gone, %s first", len(left), left[0]), After: 5 * time.Second}
	return nil
}

// mountsWritable says that a pod mounts the claim and could write to it.
func mountsWritable(pod *corev1.Pod, claim string) bool {
	return claim != "" && slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim && !v.PersistentVolumeClaim.ReadOnly
	})
}

// start creates the application if the decision asks for it and its ground is
// laid. It answers whether the pass is to begin anew.
func (r *Reconciler) start(ctx context.Context, p *v1alpha1.SparkPipeline, s *surroundings, pass *status.Pass, result applied) (bool, error) {
	if s.decision.Step != application.StepCreate {
		return false, nil
	}
	if result.blocked != "" {
		s.decision.Step, s.decision.Reason, s.decision.Message = application.StepNone, v1alpha1.ReasonStartRefused, result.blocked
		return false, nil
	}
	if err := r.fence(ctx, p, s); err != nil || s.decision.Step != application.StepCreate {
		return false, err
	}
	app := s.rendering.Object.DeepCopy()
	err := r.Client.Create(ctx, app, client.FieldOwner(apply.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return false, r.inTheWay(ctx, p)
	}
	if err != nil {
		return false, fmt.Errorf("create the SparkApplication: %w", err)
	}
	r.writes.created(client.ObjectKeyFromObject(p), createdApp{uid: app.GetUID(), at: r.Clock.Now(), digest: s.rendering.Digest, generation: p.Generation})
	rec := pass.Application
	rec.UID, rec.GenerationWritten = app.GetUID(), app.GetGeneration()
	rec.RenderingRunning, rec.SpecGeneration = s.rendering.Digest, p.Generation
	rec.StateIdentity, rec.StopRequested = s.rendering.StateIdentity, nil
	rec.RenderingSettled = s.rendering.Digest
	rec.PendingChange, rec.PendingReasons = v1alpha1.ChangeNone, nil
	rec.ExecutionAttempts, rec.State, rec.Message, rec.AppID, rec.SubmissionID = 0, "", "", "", ""
	s.decision.Message, s.decision.After = application.WaitsForSubmission, r.Limits.PickUp
	return false, nil
}

// inTheWay tells an object of somebody else from our own that the cache has not
// shown yet.
func (r *Reconciler) inTheWay(ctx context.Context, p *v1alpha1.SparkPipeline) error {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(sparkapi.GroupVersionKind)
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: p.WorkloadNamespace(), Name: p.Name}, meta); err != nil {
		return fmt.Errorf("look at the SparkApplication in the way: %w", err)
	}
	for k, v := range desired.OwnerLabels(p) {
		if meta.Labels[k] != v {
			return &apply.NotOwnedError{Object: fmt.Sprintf("SparkApplication %s/%s", meta.Namespace, meta.Name)}
		}
	}
	return errors.New("the cache has not shown the SparkApplication that exists")
}

// record is what the status remembers of the application after a look at it.
func record(prev *v1alpha1.ApplicationStatus, s *surroundings) *v1alpha1.ApplicationStatus {
	rec := &v1alpha1.ApplicationStatus{}
	if prev != nil {
		rec = prev.DeepCopy()
	}
	if s.invalid == nil {
		rec.RenderingWanted = s.rendering.Digest
	}
	rec.PendingChange, rec.PendingReasons = s.wanted.Change, s.wanted.Reasons
	app := s.run.App
	if app == nil {
		if s.run.Application.App == nil {
			rec.UID, rec.State, rec.Message, rec.AppID, rec.SubmissionID, rec.StopRequested = "", "", "", "", "", nil
			rec.GenerationWritten, rec.ExecutionAttempts = 0, 0
		}
		return rec
	}
	if rec.UID != app.UID {
		rec.UID, rec.GenerationWritten, rec.StopRequested, rec.ExecutionAttempts = app.UID, 1, nil, 0
	}
	rec.State = string(app.Status.ApplicationState.State)
	rec.Message = firstLine(app.Status.ApplicationState.ErrorMessage)
	rec.AppID, rec.SubmissionID = app.Status.SparkApplicationID, app.Status.SubmissionID
	rec.RenderingRunning, rec.SpecGeneration = s.run.Application.App.Digest, s.run.Application.App.SpecGeneration
	rec.StateIdentity, rec.RenderingSettled = s.run.StateIdentity, s.settled
	if attempts := app.Status.ExecutionAttempts; attempts > rec.ExecutionAttempts {
		if rec.ExecutionAttempts > 0 || rec.Started {
			rec.Restarts += attempts - rec.ExecutionAttempts
		} else {
			rec.Restarts += attempts - 1
		}
		rec.ExecutionAttempts, rec.Started = attempts, true
	}
	return rec
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/application"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/reconcile/status"
)

// Finalizer keeps a SparkPipeline until its application has stopped and its
// children are gone.
const Finalizer = "sparkpipeline.dev/stop"

// soon is the wait before a pass goes on with what it recorded. Status changes
// wake nobody, so a pass that wrote its intent asks for the next one.
const soon = time.Millisecond

// +kubebuilder:rbac:groups=sparkpipeline.dev,resources=sparkpipelines,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=sparkpipeline.dev,resources=sparkpipelines/status,verbs=patch
// +kubebuilder:rbac:groups="";events.k8s.io,resources=events,verbs=create;patch

// Reconciler keeps SparkPipelines.
type Reconciler struct {
	// Client writes; its reads are never used.
	Client client.Client
	// Cache answers reads from informers.
	Cache client.Reader
	// Live answers reads from the API server, for what no cache may decide.
	Live     client.Reader
	Scheme   *runtime.Scheme
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	Defaults desired.Defaults
	Limits   application.Limits
	// InstallID of this operator. Pipelines that carry another one are left
	// alone.
	InstallID string
	// ClusterWide is false in namespaced mode.
	ClusterWide bool
	// APIs knows which kinds are installed.
	APIs *APIs
	// Engine remembers the writes to children that caches have not shown yet.
	Engine *apply.Engine
	// Reports of the watches of checkpoints; nil: none is asked.
	Reports *Reports
	// Metrics are the operator's own gauges.
	Metrics *Metrics

	writes writes
}

// Reconcile makes one pass over a pipeline.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &v1alpha1.SparkPipeline{}
	if err := r.Cache.Get(ctx, req.NamespacedName, p); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get the SparkPipeline: %w", err)
	}
	p = r.writes.newest(p)
	if p.Status.InstallID != "" && p.Status.InstallID != r.InstallID {
		ctrl.LoggerFrom(ctx).V(1).Info("Left to another install of the operator", "install", p.Status.InstallID)
		return ctrl.Result{}, nil
	}
	if !p.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, p)
	}
	p, err := r.ensureFinalizer(ctx, p)
	if err != nil {
		return ctrl.Result{}, err
	}
	pass := r.newPass(p)
	after, err := r.run(ctx, p, &pass)
	if failure := explain(err); failure != nil {
		pass.Failure = failure
	}
	if err := errors.Join(err, r.report(ctx, p, pass)); err != nil {
		return ctrl.Result{}, final(err, pass.Failure)
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// newPass begins the account of a pass with what needs no look at the cluster.
func (r *Reconciler) newPass(p *v1alpha1.SparkPipeline) status.Pass {
	return status.Pass{
		Namespace: p.WorkloadNamespace(),
		Selector:  desired.SparkPodSelector(p),
		Suspended: p.Spec.Suspend,
		InstallID: r.InstallID,
		NoBucket:  p.Spec.ObjectStore.Buckets.Backups == "",
	}
}

// run is the story of one pass. It tells what it did in pass and touches no
// status. The answer is when to look again although nothing announces it.
func (r *Reconciler) run(ctx context.Context, p *v1alpha1.SparkPipeline, pass *status.Pass) (time.Duration, error) {
	if err := r.admit(ctx, p); err != nil {
		return 0, err
	}
	s, err := r.look(ctx, p, pass)
	if err != nil {
		return 0, err
	}
	// Stopping comes first: no failed apply may keep a driver running that must
	// stop.
	again, err := r.stop(ctx, p, s, pass)
	if err != nil || again {
		return soon, err
	}
	if s.invalid != nil {
		return s.decision.After, s.invalid
	}
	result, err := r.applyChildren(ctx, p, s, pass)
	if err != nil && !result.startable {
		return 0, err
	}
	again, startErr := r.start(ctx, p, s, pass, result)
	if err := errors.Join(err, startErr); err != nil {
		return 0, err
	}
	if again {
		return soon, nil
	}
	if err := r.size(ctx, p, s, pass); err != nil {
		return 0, err
	}
	after := s.decision.After
	if until := s.boundsUntil.Sub(r.Clock.Now()); !s.boundsUntil.IsZero() && (after == 0 || after > until) {
		after = max(until, time.Second)
	}
	if result.pending && (after == 0 || after > apply.Patience) {
		after = apply.Patience
	}
	if pass.Application.LastHealthyRendering != recorded(p).LastHealthyRendering {
		// What the rendering before it needs is pruned once this one is on record.
		after = soon
	}
	return after, r.prune(ctx, p, result)
}

// ensureFinalizer adds the finalizer before the first child exists.
func (r *Reconciler) ensureFinalizer(ctx context.Context, p *v1alpha1.SparkPipeline) (*v1alpha1.SparkPipeline, error) {
	if controllerutil.ContainsFinalizer(p, Finalizer) {
		return p, nil
	}
	next := p.DeepCopy()
	controllerutil.AddFinalizer(next, Finalizer)
	patch := client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, next, patch, client.FieldOwner(apply.FieldManager)); err != nil {
		return nil, fmt.Errorf("add the finalizer: %w", err)
	}
	r.writes.remember(next)
	return next.DeepCopy(), nil
}

// report writes the status if it changed, and tells of what changed in events
// and metrics.
func (r *Reconciler) report(ctx context.Context, p *v1alpha1.SparkPipeline, pass status.Pass) error {
	next := p.DeepCopy()
	next.Status = status.Compute(p.Status, p.Generation, pass, r.Clock.Now())
	r.Metrics.observe(next)
	changed, err := r.writeStatus(ctx, p, next)
	if err != nil || !changed {
		return err
	}
	r.tell(p, next)
	return nil
}

// writeStatus patches the status if it differs. It answers whether it did.
func (r *Reconciler) writeStatus(ctx context.Context, p, next *v1alpha1.SparkPipeline) (bool, error) {
	if sameStatus(p.Status, next.Status) {
		return false, nil
	}
	patch := client.MergeFrom(p)
	err := r.Client.Status().Patch(ctx, next, patch, client.FieldOwner(apply.FieldManager))
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write the status: %w", err)
	}
	r.writes.remember(next)
	return true, nil
}

// forget frees what is kept in memory of a pipeline that is gone.
func (r *Reconciler) forget(key client.ObjectKey) {
	r.writes.forget(key)
	r.Metrics.forget(key)
	r.Reports.forget(key)
}

// observer reads the caches.
func (r *Reconciler) observer() observe.Observer { return observe.Observer{Cache: r.Cache} }

// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// pipelineName is the name of each run's pipeline.
const pipelineName = "orders"

// workload is something that users, or others, do to a pipeline.
type workload struct {
	name string
	// dedicated gives the children a namespace of their own.
	dedicated bool
	// fresh begins without a pipeline; others begin with one that is Ready.
	fresh bool
	// drift says that others change children after the pipeline was Ready, so that
	// writes are due although nobody changed the spec.
	drift bool
	// spec tunes the pipeline that the workload begins with.
	spec func(*v1alpha1.SparkPipelineSpec)
	// do acts, and returns when the end state is reached.
	do func(context.Context, *run) error
}

// workloads are all that is broken at each write. One more is one more entry.
func workloads() []workload {
	return []workload{
		{name: "create", fresh: true, do: create},
		{name: "create-dedicated", fresh: true, dedicated: true, do: create},
		{name: "edit", do: editThen(many, isReady("Ready"))},
		{name: "edit-dedicated", dedicated: true, do: editThen(many, isReady("Ready"))},
		{name: "rename-schedules", do: editThen(schedules, isReady("Ready"))},
		{name: "suspend-resume", do: suspendResume},
		{name: "change-restart", do: editThen(newImage, isReplaced("registry.example.com/orders:2"))},
		{name: "change-scale", do: editThen(scale, isReady("Ready"))},
		{name: "change-state-breaking", do: breakState},
		{name: "child-edited", drift: true, do: editChild},
		{name: "child-deleted", drift: true, do: deleteChild},
		{name: "application-edited", drift: true, do: editApplication},
		{name: "application-deleted", drift: true, do: deleteApplication},
		{name: "claim-deleted", drift: true, do: deleteClaim},
		{name: "drift-storm", drift: true, do: storm},
		{name: "drift-storm-dedicated", dedicated: true, drift: true, do: storm},
		{name: "delete-retain", do: remove(v1alpha1.DeletionRetain)},
		{name: "delete-delete", do: remove(v1alpha1.DeletionDelete)},
		{name: "delete-retain-dedicated", dedicated: true, do: remove(v1alpha1.DeletionRetain)},
		{name: "delete-delete-dedicated", dedicated: true, do: remove(v1alpha1.DeletionDelete)},
	}
}

// describe is the pipeline that a workload begins with: the full sample in a
// namespace of its own, or the minimal one with a child of every optional kind.
func (r *run) describe(w workload) (*v1alpha1.SparkPipeline, error) {
	file := "minimal.yaml"
	if w.dedicated {
		file = "full.yaml"
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", file))
	if err != nil {
		return nil, err
	}
	p := &v1alpha1.SparkPipeline{}
	if err := yaml.UnmarshalStrict(text, p); err != nil {
		return nil, err
	}
	p.Namespace, p.Name = r.namespace, pipelineName
	p.Spec.Monitoring.JMX = v1alpha1.JMXImage
	if w.dedicated {
		p.Spec.Namespace = r.workload
	} else {
		p.Spec.Monitoring.Alertmanager.Slack = &v1alpha1.SlackReceiver{
			Channel: "#alerts", APIURLSecret: v1alpha1.SecretKeyReference{Name: "receivers", Key: "url"}}
	}
	if w.spec != nil {
		w.spec(&p.Spec)
	}
	return p, nil
}

func create(ctx context.Context, r *run) error {
	p, err := r.describe(workload{dedicated: r.workload != r.namespace})
	if err != nil {
		return err
	}
	if err := base.admin.Create(ctx, p); err != nil {
		return err
	}
	return r.until(ctx, isReady("Ready"))
}

// until waits for the pipeline to be in a state.
func (r *run) until(ctx context.Context, state func(context.Context, *run, *v1alpha1.SparkPipeline) error) error {
	return eventually(ctx, func() error {
		p, err := r.pipeline(ctx)
		if err != nil {
			return err
		}
		return state(ctx, r, p)
	})
}

// isReady wants the condition Ready to be true, of the newest generation and for
// the given reason.
func isReady(reason string) func(context.Context, *run, *v1alpha1.SparkPipeline) error {
	return func(_ context.Context, _ *run, p *v1alpha1.SparkPipeline) error {
		return hasCondition(p, v1alpha1.ConditionReady, "True/"+reason)
	}
}

func isNotReady(reason string) func(context.Context, *run, *v1alpha1.SparkPipeline) error {
	return func(_ context.Context, _ *run, p *v1alpha1.SparkPipeline) error {
		return hasCondition(p, v1alpha1.ConditionReady, "False/"+reason)
	}
}

func hasCondition(p *v1alpha1.SparkPipeline, kind, want string) error {
	c := meta.FindStatusCondition(p.Status.Conditions, kind)
	if c == nil {
		return fmt.Errorf("%s is absent, expected %s", kind, want)
	}
	if got := string(c.Status) + "/" + c.Reason; got != want || c.ObservedGeneration != p.Generation {
		return fmt.Errorf("%s is %s of generation %d, expected %s of %d: %s", kind, got, c.ObservedGeneration, want, p.Generation, c.Message)
	}
	return nil
}

// isReplaced wants a running application of an image.
func isReplaced(image string) func(context.Context, *run, *v1alpha1.SparkPipeline) error {
	return func(ctx context.Context, r *run, p *v1alpha1.SparkPipeline) error {
		app, err := r.application(ctx)
		if err != nil {
			return err
		}
		if *app.Spec.Image != image {
			return fmt.Errorf("the application runs %s, expected %s", *app.Spec.Image, image)
		}
		return isReady("Ready")(ctx, r, p)
	}
}

func (r *run) application(ctx context.Context) (*sparkapi.SparkApplication, error) {
	app := &sparkapi.SparkApplication{}
	return app, base.admin.Get(ctx, client.ObjectKey{Namespace: r.workload, Name: pipelineName}, app)
}

// edit changes the spec as a user does.
func (r *run) edit(ctx context.Context, change func(*v1alpha1.SparkPipelineSpec)) error {
	p, err := r.pipeline(ctx)
	if err != nil {
		return err
	}
	patch := client.MergeFrom(p.DeepCopy())
	change(&p.Spec)
	return base.admin.Patch(ctx, p, patch, client.FieldOwner("user"))
}

func editThen(change func(*v1alpha1.SparkPipelineSpec), state func(context.Context, *run, *v1alpha1.SparkPipeline) error) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		if err := r.edit(ctx, change); err != nil {
			return err
		}
		return r.until(ctx, state)
	}
}

// many is an edit that reaches many children and takes two away.
func many(s *v1alpha1.SparkPipelineSpec) {
	s.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": "other"}
	s.Monitoring.Dashboards = v1alpha1.StateDisabled
	s.Monitoring.Alertmanager.Slack = nil
	s.Monitoring.Alertmanager.PagerDuty = nil
	s.ObjectStore.Buckets.Output = "acme-output-2"
	s.Disruption.ExecutorMinAvailable = new(int32(1))
}

func schedules(s *v1alpha1.SparkPipelineSpec) {
	s.Backup.Checkpoint.Schedule = "5 */3 * * *"
	s.Backup.EventLogArchive.Schedule = "15 3 * * *"
}

func newImage(s *v1alpha1.SparkPipelineSpec) { s.Image = "registry.example.com/orders:2" }

func scale(s *v1alpha1.SparkPipelineSpec) { s.Scaling.MaxExecutors++ }

func suspendResume(ctx context.Context, r *run) error {
	if err := editThen(func(s *v1alpha1.SparkPipelineSpec) { s.Suspend = true }, isReady("Suspended"))(ctx, r); err != nil {
		return err
	}
	err := eventually(ctx, func() error {
		_, err := r.application(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the suspended application is still there: %w", err)
	})
	if err != nil {
		return err
	}
	return editThen(func(s *v1alpha1.SparkPipelineSpec) { s.Suspend = false }, isReady("Ready"))(ctx, r)
}

// breakState makes a change that loses state, and accepts that.
func breakState(ctx context.Context, r *run) error {
	if err := editThen(func(s *v1alpha1.SparkPipelineSpec) { s.Checkpoint.MountPath = "/mnt/elsewhere" }, isNotReady(v1alpha1.ReasonStateBreaking))(ctx, r); err != nil {
		return err
	}
	p, err := r.pipeline(ctx)
	if err != nil {
		return err
	}
	accept := func(s *v1alpha1.SparkPipelineSpec) { s.Restart.AcceptStateReset = p.Status.Application.RenderingWanted }
	return editThen(accept, isReady("Ready"))(ctx, r)
}

// remove deletes the pipeline under a policy and waits until it is gone.
func remove(policy v1alpha1.DeletionPolicy) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		if err := r.edit(ctx, func(s *v1alpha1.SparkPipelineSpec) { s.DeletionPolicy = policy }); err != nil {
			return err
		}
		p, err := r.pipeline(ctx)
		if err != nil {
			return err
		}
		if err := base.admin.Delete(ctx, p); err != nil {
			return err
		}
		return eventually(ctx, func() error {
			p, err := r.pipeline(ctx)
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("the pipeline is still there: %s: %v", applied(p), err)
		})
	}
}

func applied(p *v1alpha1.SparkPipeline) string {
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionApplied); c != nil {
		return c.Message
	}
	return "nothing said"
}

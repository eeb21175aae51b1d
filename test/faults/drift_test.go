// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// child is the metadata of a child, as the API server is to be asked for it.
func child(c v1alpha1.ChildStatus) (*metav1.PartialObjectMetadata, error) {
	mapping, err := base.admin.RESTMapper().RESTMapping(schema.GroupKind{Group: c.Group, Kind: c.Kind})
	if err != nil {
		return nil, err
	}
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name}}
	o.SetGroupVersionKind(mapping.GroupVersionKind)
	return o, nil
}

// managed is a label that the operator sets on each child.
const managed = "app.kubernetes.io/managed-by"

// drift edits a child, or deletes it.
func drift(ctx context.Context, c v1alpha1.ChildStatus, deletes bool) error {
	o, err := child(c)
	if err != nil {
		return err
	}
	if deletes {
		return base.admin.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground))
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"somebody"}}}`, managed)
	return base.admin.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("user"))
}

// healed waits until a child is as it should be: the same object where it was
// edited, another one where it was deleted.
func healed(ctx context.Context, c v1alpha1.ChildStatus, deleted bool) error {
	return eventually(ctx, func() error {
		o, err := child(c)
		if err != nil {
			return err
		}
		if err := base.admin.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if (o.UID != c.UID) != deleted || o.Labels[managed] != "sparkpipeline-operator" {
			return fmt.Errorf("%s %s is not healed", c.Kind, c.Name)
		}
		return nil
	})
}

// children lists the children that can drift.
func (r *run) children(ctx context.Context) ([]v1alpha1.ChildStatus, error) {
	p, err := r.pipeline(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(p.Status.Children, func(c v1alpha1.ChildStatus) bool { return c.Kind == "Secret" }), nil
}

// holdsData says that a child is not made again when it is gone.
func holdsData(c v1alpha1.ChildStatus) bool {
	return c.Kind == "PersistentVolumeClaim" || c.Kind == "Namespace"
}

// some lets chosen children drift and waits until all of them are healed.
func some(ctx context.Context, r *run, chosen func(int, v1alpha1.ChildStatus) (yes, deletes bool)) error {
	all, err := r.children(ctx)
	if err != nil {
		return err
	}
	for i, c := range all {
		if yes, deletes := chosen(i, c); yes {
			if err := drift(ctx, c, deletes); err != nil {
				return fmt.Errorf("let %s %s drift: %w", c.Kind, c.Name, err)
			}
		}
	}
	for i, c := range all {
		if yes, deletes := chosen(i, c); yes {
			if err := healed(ctx, c, deletes); err != nil {
				return err
			}
		}
	}
	return r.until(ctx, isReady("Ready"))
}

func editChild(ctx context.Context, r *run) error {
	return some(ctx, r, func(_ int, c v1alpha1.ChildStatus) (bool, bool) { return c.Kind == "NetworkPolicy", false })
}

func deleteChild(ctx context.Context, r *run) error {
	return some(ctx, r, func(_ int, c v1alpha1.ChildStatus) (bool, bool) { return c.Kind == "CronJob", true })
}

// storm edits or deletes every child at once.
func storm(ctx context.Context, r *run) error {
	return some(ctx, r, func(i int, c v1alpha1.ChildStatus) (bool, bool) { return true, i%2 == 0 && !holdsData(c) })
}

func editApplication(ctx context.Context, r *run) error {
	before, err := r.application(ctx)
	if err != nil {
		return err
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"image":"somebody:else"}}`))
	if err := base.admin.Patch(ctx, before.DeepCopy(), patch, client.FieldOwner("user")); err != nil {
		return err
	}
	return r.untilOther(ctx, before.UID)
}

func deleteApplication(ctx context.Context, r *run) error {
	before, err := r.application(ctx)
	if err != nil {
		return err
	}
	if err := base.admin.Delete(ctx, before, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return err
	}
	return r.untilOther(ctx, before.UID)
}

// untilOther waits for another application than the one of a UID to run.
func (r *run) untilOther(ctx context.Context, before types.UID) error {
	return r.until(ctx, func(ctx context.Context, r *run, p *v1alpha1.SparkPipeline) error {
		app, err := r.application(ctx)
		if err != nil {
			return err
		}
		if app.UID == before || p.Status.Application.UID != app.UID {
			return errors.New("the application is not replaced")
		}
		return isReady("Ready")(ctx, r, p)
	})
}

// deleteClaim loses the checkpoint, which is told of and never made again.
func deleteClaim(ctx context.Context, r *run) error {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: r.workload, Name: pipelineName + "-checkpoint"}}
	if err := base.admin.Delete(ctx, claim); err != nil {
		return err
	}
	if err := r.until(ctx, isNotReady(v1alpha1.ReasonClaimLost)); err != nil {
		return err
	}
	if err := base.admin.Get(ctx, client.ObjectKeyFromObject(claim), claim); !apierrors.IsNotFound(err) {
		return fmt.Errorf("the claim was made again: %w", err)
	}
	return nil
}

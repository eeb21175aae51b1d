// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/observer"
	"sparkpipeline.dev/operator/bench/stage"
	"sparkpipeline.dev/operator/bench/workload"
)

func (p *pass) floorBefore(ctx context.Context) error { return p.runFloor(ctx, "floor-a-"+p.set) }

// floorAfter runs the floor again, so that what the machine did meanwhile is on
// both sides of the burst.
func (p *pass) floorAfter(ctx context.Context) error {
	if err := p.runFloor(ctx, "floor-b-"+p.set); err != nil {
		return err
	}
	var sum float64
	for _, s := range p.floorSeconds {
		sum += s
	}
	floor := sum / float64(len(p.floorSeconds))
	p.add("burst.floorSeconds", floor)
	p.add("burst.ratioToFloor", floor/p.burstSeconds)
	return nil
}

// runFloor applies the children of n pipelines in a bare loop, and takes them away
// again.
func (p *pass) runFloor(ctx context.Context, set string) error {
	if err := p.makeNamespaces(ctx, set); err != nil {
		return err
	}
	payloads, err := p.payloads(ctx, set)
	if err != nil {
		return err
	}
	resources := map[schema.GroupVersionKind]meta.RESTMapping{}
	for _, k := range p.kinds {
		resources[k.GroupVersionKind] = k
	}
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	server, err := p.stage.ServerCPU()
	if err != nil {
		return err
	}
	start := time.Now()
	err = inParallel(ctx, sideBySide, len(payloads), func(ctx context.Context, i int) error {
		o := payloads[i]
		return send(ctx, p.floor.Resource(resources[o.GVK].Resource).Namespace(o.Namespace), o)
	})
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	serverAfter, err := p.stage.ServerCPU()
	if err != nil {
		return err
	}
	requests, err := p.stage.Audit.Since(mark, stage.Floor.User())
	if err != nil {
		return err
	}
	p.report.AddRequests("floor", p.n, audit.Count(requests))
	p.floorSeconds = append(p.floorSeconds, took)
	p.floorObjects = len(payloads)
	p.add("floor.objectsPerSecond", float64(len(payloads))/took)
	p.add("floor.serverCPUSeconds", serverAfter-server)
	return p.removeFloor(ctx, set)
}

// send makes an object as the operator would: by an apply, or by a creation where
// that is how the operator does it.
func send(ctx context.Context, c dynamic.ResourceInterface, o workload.Payload) error {
	var err error
	if o.Create {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(o.Body); err != nil {
			return fmt.Errorf("read %s %s/%s: %w", o.GVK.Kind, o.Namespace, o.Name, err)
		}
		_, err = c.Create(ctx, u, metav1.CreateOptions{FieldManager: "floor"})
	} else {
		_, err = c.Patch(ctx, o.Name, types.ApplyPatchType, o.Body, metav1.PatchOptions{FieldManager: "floor", Force: ptr.To(true)})
	}
	if err != nil {
		return fmt.Errorf("send %s %s/%s: %w", o.GVK.Kind, o.Namespace, o.Name, err)
	}
	return nil
}

// payloads are the children of the pipelines of a set. A dry run fills the specs
// with their defaults, as a real creation would.
func (p *pass) payloads(ctx context.Context, set string) ([]workload.Payload, error) {
	owners := map[string]*corev1.ConfigMap{}
	for _, ns := range workload.Namespaces(set, p.n) {
		owners[ns] = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "orders-0000"}}
		if err := p.harness.Create(ctx, owners[ns]); err != nil {
			return nil, fmt.Errorf("make the owner of the floor's objects: %w", err)
		}
	}
	each := make([][]workload.Payload, p.n)
	err := inParallel(ctx, sideBySide, p.n, func(ctx context.Context, i int) error {
		u, err := workload.Pipeline(set, i)
		if err != nil {
			return err
		}
		if err := p.harness.Create(ctx, u, client.DryRunAll); err != nil {
			return fmt.Errorf("fill a pipeline with defaults: %w", err)
		}
		filled := &v1alpha1.SparkPipeline{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, filled); err != nil {
			return fmt.Errorf("read a pipeline: %w", err)
		}
		owner := owners[filled.Namespace]
		each[i], err = workload.Payloads(p.harness.Scheme(), filled, owner.Name, owner.UID)
		return err
	})
	var out []workload.Payload
	for _, e := range each {
		out = append(out, e...)
	}
	return out, err
}

// removeFloor deletes what the floor made, in its namespaces and in Velero's.
func (p *pass) removeFloor(ctx context.Context, set string) error {
	schedule := &unstructured.Unstructured{}
	schedule.SetAPIVersion("velero.io/v1")
	schedule.SetKind("Schedule")
	err := p.harness.DeleteAllOf(ctx, schedule, client.InNamespace("velero"), client.HasLabels{"floorpipeline.dev/pipeline"})
	if err != nil {
		return fmt.Errorf("delete the floor's Velero schedules: %w", err)
	}
	if err := p.removeNamespaces(ctx, set); err != nil {
		return err
	}
	return p.observer.Await(ctx, patience(p.n), "the floor's objects are gone", func(v observer.View) error {
		if left := v.In(set); left > 0 {
			return fmt.Errorf("%d are there", left)
		}
		return nil
	})
}

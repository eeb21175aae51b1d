// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/backend"
	"sparkpipeline.dev/operator/bench/observer"
)

// settleTime is longer than the operator believes its own writes without an
// answer from its caches: what it looks at again on that account is not idling.
const settleTime = 12 * time.Second

// quietly leaves everything alone for a while, then makes the noise that a cluster
// makes, then has the operator look at every pipeline again. It may ask for
// nothing.
func (p *pass) quietly(ctx context.Context) error {
	if err := p.stage.Audit.AwaitQuiet(ctx, operatorUser, settleTime, patience(p.n)); err != nil {
		return err
	}
	p.observer.Record()
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	if err := p.idle(ctx); err != nil {
		return err
	}
	before, err := p.operator.Usage()
	if err != nil {
		return err
	}
	for round := range 2 {
		err := inParallel(ctx, sideBySide, p.n, func(ctx context.Context, i int) error {
			return backend.Flap(ctx, p.backendClient, p.keys[i], round)
		})
		if err != nil {
			return err
		}
	}
	if err := p.resync(ctx); err != nil {
		return err
	}
	if err := p.rest(ctx); err != nil {
		return err
	}
	after, err := p.operator.Usage()
	if err != nil {
		return err
	}
	p.add("quiet.noiseCPUSecondsPer1000", (after.CPU-before.CPU)/float64(p.n)*1000)
	requests, err := p.requests(mark)
	if err != nil {
		return err
	}
	c := audit.Count(requests)
	p.report.AddRequests("quiet", p.n, c)
	p.add("quiet.requests", float64(c.Work()))
	p.add("quiet.watches", float64(c.Watches))
	p.add("quiet.leases", float64(c.Leases))
	changed, example := p.touched(func(k observer.Key) bool { return k.Kind.Kind == "SparkApplication" })
	p.add("quiet.childrenChanged", float64(changed))
	if changed > 0 || c.Work() > 0 {
		p.say("  requests: %s; changed: %s", c, example)
	}
	return nil
}

// idle measures what the operator costs while nothing happens.
func (p *pass) idle(ctx context.Context) error {
	length := p.quiet
	if !p.first {
		length /= 10
	}
	before, err := p.operator.Usage()
	if err != nil {
		return err
	}
	start := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
	}
	after, err := p.operator.Usage()
	if err != nil {
		return err
	}
	if p.first {
		p.add("idle.cpuSecondsPerHour", (after.CPU-before.CPU)/time.Since(start).Hours())
		p.add("idle.seconds", time.Since(start).Seconds())
	}
	return nil
}

// resync makes the operator look at every pipeline: it does so for a changed
// annotation.
func (p *pass) resync(ctx context.Context) error {
	return inParallel(ctx, sideBySide, p.n, func(ctx context.Context, i int) error {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"bench.example.com/resync":"%d"}}}`, time.Now().UnixNano())
		return p.patchPipeline(ctx, p.keys[i], patch)
	})
}

func (p *pass) patchPipeline(ctx context.Context, key types.NamespacedName, patch []byte) error {
	o := &v1alpha1.SparkPipeline{}
	o.Namespace, o.Name = key.Namespace, key.Name
	if err := p.harness.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("patch SparkPipeline %s: %w", key, err)
	}
	return nil
}

// specChange changes one field of every spec, on which one child depends.
func (p *pass) specChange(ctx context.Context) error {
	p.observer.Record()
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	err = inParallel(ctx, sideBySide, p.n, func(ctx context.Context, i int) error {
		return p.patchPipeline(ctx, p.keys[i], []byte(`{"spec":{"monitoring":{"scrapeInterval":"45s"}}}`))
	})
	if err != nil {
		return err
	}
	if err := p.observer.AwaitSettled(ctx, patience(p.n), p.keys); err != nil {
		return err
	}
	if err := p.rest(ctx); err != nil {
		return err
	}
	requests, err := p.requests(mark)
	if err != nil {
		return err
	}
	c := audit.Count(requests)
	p.report.AddRequests("specChange", p.n, c)
	touched, example := p.touched(func(observer.Key) bool { return false })
	p.add("specChange.childrenTouched", float64(touched)/float64(p.n))
	p.add("specChange.applies", float64(c.Verb("apply"))/float64(p.n))
	p.add("specChange.statusPatches", float64(c.By["patch sparkpipelines/status"])/float64(p.n))
	p.say("  requests: %s; changed: %s", c, example)
	return nil
}

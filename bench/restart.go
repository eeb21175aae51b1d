// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/observer"
	"sparkpipeline.dev/operator/bench/workload"
)

// restart kills the operator, edits a child meanwhile, starts it again and counts
// what it asks for until it rests. Then it starts it once more, and creates a new
// pipeline while all others are being looked at.
func (p *pass) restart(ctx context.Context) error {
	if err := p.restartWithDrift(ctx); err != nil {
		return err
	}
	return p.restartWithNew(ctx)
}

func (p *pass) restartWithDrift(ctx context.Context) error {
	if err := p.operator.Kill(ctx); err != nil {
		return err
	}
	targets, err := p.repairable(1)
	if err != nil {
		return err
	}
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	p.observer.Record()
	before, from, err := p.present(targets[0].Key)
	if err != nil {
		return err
	}
	if err := p.spoil(ctx, before); err != nil {
		return err
	}
	if p.operator, err = p.stage.StartOperator(ctx, 0); err != nil {
		return err
	}
	healed := 1.0
	if _, err := p.awaitHealed(ctx, before, from, repaired); err != nil {
		p.say("  %v", err)
		healed = 0
	}
	p.add("restart.healed", healed)
	if err := p.stage.Audit.AwaitQuiet(ctx, operatorUser, settleTime, patience(p.n)); err != nil {
		return err
	}
	requests, err := p.requests(mark)
	if err != nil {
		return err
	}
	c := audit.Count(requests)
	p.report.AddRequests("restart", p.n, c)
	p.add("restart.writes", float64(c.Writes)-healed)
	p.add("restart.reads", float64(c.Reads))
	p.add("restart.watches", float64(c.Watches))
	p.say("  requests: %s", c)
	return nil
}

// restartWithNew creates a pipeline in the moment in which the caches are synced.
func (p *pass) restartWithNew(ctx context.Context) error {
	fresh, err := workload.Pipeline(p.set, 0)
	if err != nil {
		return err
	}
	fresh.SetName("fresh")
	key := types.NamespacedName{Namespace: fresh.GetNamespace(), Name: fresh.GetName()}
	if err := p.operator.Stop(ctx); err != nil {
		return err
	}
	started := time.Now()
	if p.operator, err = p.stage.StartOperator(ctx, 0); err != nil {
		return err
	}
	if err := await(ctx, time.Minute, "the operator's caches are synced", p.operator.Working); err != nil {
		return err
	}
	p.add("restart.syncedMs", ms(time.Since(started)))
	if err := p.harness.Create(ctx, fresh); err != nil {
		return fmt.Errorf("create a new pipeline: %w", err)
	}
	p.keys = append(p.keys, key)
	if err := p.observer.AwaitSettled(ctx, time.Minute, []types.NamespacedName{key}); err != nil {
		return err
	}
	err = p.observer.View(func(v observer.View) error {
		seen := v.Pipeline(key)
		p.add("restart.firstNewMs", ms(seen.Settled.Sub(seen.Created)))
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.observer.AwaitReady(ctx, patience(p.n), p.keys); err != nil {
		return err
	}
	return p.rest(ctx)
}

// failover kills the leader beside a standby, and later stops the next one in
// order. What drifts in between is to be healed.
func (p *pass) failover(ctx context.Context) error {
	standby, err := p.stage.StartOperator(ctx, 1)
	if err != nil {
		return err
	}
	leader := p.operator
	p.operator = standby
	missed, gap, err := p.handOver(ctx, leader.Kill)
	if err != nil {
		return err
	}
	p.add("failover.gapMs", ms(gap))
	leader, p.operator = p.operator, nil
	if p.operator, err = p.stage.StartOperator(ctx, 0); err != nil {
		return err
	}
	more, gap, err := p.handOver(ctx, leader.Stop)
	if err != nil {
		return err
	}
	p.add("failover.orderlyGapMs", ms(gap))
	p.add("failover.missed", float64(missed+more))
	return p.rest(ctx)
}

// handOver ends the leader, edits a child at once, and waits until it is repaired:
// the time since the end is the gap.
func (p *pass) handOver(ctx context.Context, end func(context.Context) error) (missed int, gap time.Duration, err error) {
	targets, err := p.repairable(1)
	if err != nil {
		return 0, 0, err
	}
	p.observer.Record()
	before, from, err := p.present(targets[0].Key)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := end(ctx); err != nil {
		return 0, 0, err
	}
	if err := p.spoil(ctx, before); err != nil {
		return 0, 0, err
	}
	var at time.Time
	err = p.observer.Await(ctx, time.Minute, "the standby repairs "+before.Key.String(), func(v observer.View) error {
		changes := v.Changes(before.Key, from)
		if _, ok := repaired(changes, before); !ok {
			return errors.New("it has not")
		}
		at = changes[len(changes)-1].At
		return nil
	})
	if err != nil {
		p.say("  %v", err)
		missed = 1
		at = time.Now()
	}
	return missed, at.Sub(start), nil
}

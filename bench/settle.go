// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/observer"
)

// settle lets the applications run and waits until every pipeline is Ready.
func (p *pass) settle(ctx context.Context) error {
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.backend.Run(ctx) }()
	p.stopBackend = func() error {
		cancel()
		return <-done
	}
	if err := p.observer.AwaitReady(ctx, patience(p.n), p.keys); err != nil {
		if backend := p.backend.Err(); backend != nil {
			err = fmt.Errorf("%w; the backend: %w", err, backend)
		}
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
	p.report.AddRequests("start", p.n, c)
	p.add("start.writesPerPipeline", float64(c.Writes)/float64(p.n))
	p.add("start.readsPerPipeline", float64(c.Reads)/float64(p.n))
	p.say("  requests: %s", c)
	return nil
}

// heapAtStart is before the first pipeline.
func (p *pass) heapAtStart(ctx context.Context) error {
	var err error
	p.heap, err = p.operator.Heap(ctx)
	p.add("memory.startMiB", mib(p.heap))
	return err
}

// heapFull is with all pipelines.
func (p *pass) heapFull(ctx context.Context) error {
	heap, err := p.operator.Heap(ctx)
	if err != nil {
		return err
	}
	usage, err := p.operator.Usage()
	if err != nil {
		return err
	}
	p.add("memory.heapMiB", mib(heap))
	p.add("memory.rssMiB", mib(usage.RSS))
	p.add("memory.mibPer1000", mib(heap-p.heap)/float64(p.n)*1000)
	return nil
}

// heapAtEnd is after all pipelines are gone.
func (p *pass) heapAtEnd(ctx context.Context) error {
	heap, err := p.operator.Heap(ctx)
	if err != nil {
		return err
	}
	p.add("memory.endMiB", mib(heap))
	p.add("memory.leftOverPercent", (float64(heap)/float64(p.heap)-1)*100)
	return nil
}

// touched counts the labelled objects that changed since Record, those apart that
// but says are expected to.
func (p *pass) touched(but func(observer.Key) bool) (int, string) {
	seen := map[observer.Key]bool{}
	example := ""
	for _, c := range p.observer.History() {
		if c.Pipeline.Name == "" || but(c.Key) || seen[c.Key] {
			continue
		}
		seen[c.Key] = true
		example = c.Key.String()
	}
	return len(seen), example
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/observer"
	"sparkpipeline.dev/operator/bench/report"
	"sparkpipeline.dev/operator/bench/workload"
)

// sideBySide is how many requests the harness and the floor have under way.
const sideBySide = 8

// patience with n pipelines, on a machine that is busy with other things too.
func patience(n int) time.Duration { return time.Minute + time.Duration(n)*time.Second }

func (p *pass) startOperator(ctx context.Context) error {
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	if p.operator, err = p.stage.StartOperator(ctx, 0); err != nil {
		return err
	}
	if err := p.awaitLeader(ctx, mark); err != nil {
		return err
	}
	if err := p.rest(ctx); err != nil {
		return err
	}
	requests, err := p.requests(mark)
	p.report.AddRequests("startup", p.n, audit.Count(requests))
	return err
}

// awaitLeader waits until the operator has a lease and watches.
func (p *pass) awaitLeader(ctx context.Context, since audit.Mark) error {
	return await(ctx, time.Minute, "the operator leads", func() error {
		requests, err := p.requests(since)
		if err != nil {
			return err
		}
		if c := audit.Count(requests); c.Leases == 0 {
			return errors.New("it has no lease yet")
		}
		return nil
	})
}

func (p *pass) stopOperator(ctx context.Context) error { return p.operator.Stop(ctx) }

// makeNamespaces makes the namespaces of a set and waits until they are furnished
// with what every namespace gets.
func (p *pass) makeNamespaces(ctx context.Context, set string) error {
	for _, name := range workload.Namespaces(set, p.n) {
		if err := p.harness.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("make namespace %s: %w", name, err)
		}
	}
	return p.observer.Await(ctx, patience(p.n), "the namespaces are furnished", func(v observer.View) error {
		for _, name := range workload.Namespaces(set, p.n) {
			for _, k := range []observer.Key{
				{Kind: schema.GroupKind{Kind: "ServiceAccount"}, Namespace: name, Name: "default"},
				{Kind: schema.GroupKind{Kind: "ConfigMap"}, Namespace: name, Name: "kube-root-ca.crt"},
			} {
				if _, ok := v.Object(k); !ok {
					return fmt.Errorf("%s is not there", k)
				}
			}
		}
		return nil
	})
}

// burst creates all pipelines at once and waits until every child exists and
// every SparkPipeline says so.
func (p *pass) burst(ctx context.Context) error {
	if err := p.makeNamespaces(ctx, p.set); err != nil {
		return err
	}
	objects := make([]*unstructured.Unstructured, p.n)
	for i := range objects {
		var err error
		if objects[i], err = workload.Pipeline(p.set, i); err != nil {
			return err
		}
	}
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	before, err := p.operator.Usage()
	if err != nil {
		return err
	}
	server, err := p.stage.ServerCPU()
	if err != nil {
		return err
	}
	start := time.Now()
	err = inParallel(ctx, sideBySide, len(objects), func(ctx context.Context, i int) error {
		return p.harness.Create(ctx, objects[i])
	})
	if err != nil {
		return fmt.Errorf("create the pipelines: %w", err)
	}
	if err := p.observer.AwaitSettled(ctx, patience(p.n), p.keys); err != nil {
		return err
	}
	took := p.lastSettled().Sub(start)
	after, err := p.operator.Usage()
	if err != nil {
		return err
	}
	serverAfter, err := p.stage.ServerCPU()
	if err != nil {
		return err
	}
	p.burstSeconds = took.Seconds()
	p.add("burst.seconds", took.Seconds())
	p.add("burst.pipelinesPerSecond", float64(p.n)/took.Seconds())
	p.add("burst.operatorCPUSeconds", after.CPU-before.CPU)
	p.add("burst.serverCPUSeconds", serverAfter-server)
	p.add("burst.operatorPeakRSSMiB", mib(after.PeakRSS))
	if err := p.rest(ctx); err != nil {
		return err
	}
	return p.countBurst(mark)
}

func (p *pass) lastSettled() time.Time {
	var last time.Time
	_ = p.observer.View(func(v observer.View) error {
		for _, k := range p.keys {
			if at := v.Pipeline(k).Settled; at.After(last) {
				last = at
			}
		}
		return nil
	})
	return last
}

// countBurst sets the operator's requests against the children that there are.
func (p *pass) countBurst(mark audit.Mark) error {
	requests, err := p.requests(mark)
	if err != nil {
		return err
	}
	c := audit.Count(requests)
	p.report.AddRequests("burst", p.n, c)
	var waits []float64
	err = p.observer.View(func(v observer.View) error {
		p.children = 0
		for _, k := range p.keys {
			p.children += v.Children(k)
			seen := v.Pipeline(k)
			waits = append(waits, ms(seen.LastChild.Sub(seen.Created)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(waits)
	n := float64(p.n)
	p.add("burst.childrenPerPipeline", float64(p.children)/n)
	p.add("burst.writesOverChildren", float64(c.Writes-p.children)/n)
	p.add("burst.readsOverChildren", float64(c.Reads-p.children)/n)
	p.add("burst.eventsPerPipeline", float64(c.Events)/n)
	p.add("burst.lastChildP50Ms", report.Percentile(waits, 50))
	p.add("burst.lastChildP99Ms", report.Percentile(waits, 99))
	p.say("  requests: %s", c)
	return nil
}

// remove deletes all pipelines and waits until nothing of them is left.
func (p *pass) remove(ctx context.Context) error {
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return err
	}
	start := time.Now()
	err = inParallel(ctx, sideBySide, len(p.keys), func(ctx context.Context, i int) error {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion("sparkpipeline.dev/v1alpha1")
		o.SetKind("SparkPipeline")
		o.SetNamespace(p.keys[i].Namespace)
		o.SetName(p.keys[i].Name)
		return client.IgnoreNotFound(p.harness.Delete(ctx, o))
	})
	if err != nil {
		return fmt.Errorf("delete the pipelines: %w", err)
	}
	err = p.observer.Await(ctx, patience(p.n), "nothing of the pipelines is left", func(v observer.View) error {
		for _, k := range p.keys {
			if v.Pipeline(k) != nil {
				return fmt.Errorf("%s is there", k)
			}
			if left := v.Children(k); left > 0 {
				return fmt.Errorf("%d children of %s are there, such as %s", left, k, v.Of(k)[0].Key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.add("delete.seconds", time.Since(start).Seconds())
	if err := p.rest(ctx); err != nil {
		return err
	}
	requests, err := p.requests(mark)
	if err != nil {
		return err
	}
	c := audit.Count(requests)
	p.report.AddRequests("delete", p.n, c)
	p.add("delete.requestsPerPipeline", float64(c.Work())/float64(p.n))
	p.say("  requests: %s", c)
	return p.removeNamespaces(ctx, p.set)
}

func (p *pass) removeNamespaces(ctx context.Context, set string) error {
	names := workload.Namespaces(set, p.n)
	for _, name := range names {
		if err := p.harness.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("delete namespace %s: %w", name, err)
		}
	}
	return await(ctx, patience(p.n), "the namespaces are gone", func() error {
		err := p.harness.Get(ctx, types.NamespacedName{Name: names[0]}, &corev1.Namespace{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is there: %w", names[0], err)
		}
		names = names[1:]
		if len(names) > 0 {
			return errors.New(names[0] + " is to be looked at")
		}
		return nil
	})
}

// slope is how cost grows with the number of pipelines: the exponent between the
// smallest and the largest number. Cost is the CPU time of the operator and the
// API server, which the load of others on the machine moves little.
func (b *bench) slope() {
	small, large := b.sizes[0].n, b.sizes[len(b.sizes)-1].n
	if small == large {
		return
	}
	exponent := func(figures ...string) float64 {
		var a, z float64
		for _, f := range figures {
			x, _ := b.report.Value(f, small)
			y, _ := b.report.Value(f, large)
			a, z = a+x, z+y
		}
		return math.Log(z/a) / math.Log(float64(large)/float64(small))
	}
	b.report.Add("burst.slope", large, exponent("burst.operatorCPUSeconds", "burst.serverCPUSeconds"))
	b.report.Add("burst.slopeOfTime", large, exponent("burst.seconds"))
	b.report.Add("burst.slopeOfOperatorCPU", large, exponent("burst.operatorCPUSeconds"))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

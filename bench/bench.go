// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/backend"
	"sparkpipeline.dev/operator/bench/observer"
	"sparkpipeline.dev/operator/bench/report"
	"sparkpipeline.dev/operator/bench/stage"
	"sparkpipeline.dev/operator/bench/workload"
)

// bench is a bench under way.
type bench struct {
	options
	log      io.Writer
	report   *report.Report
	stage    *stage.Stage
	observer *observer.Observer
	kinds    []meta.RESTMapping
	harness  client.Client
	backend  *backend.Backend
	// backendClient acts as the backend does.
	backendClient client.Client
	somebody      client.Client
	floor         dynamic.Interface
	operator      *stage.Replica
}

// measure runs everything. It returns what it has when something fails.
func measure(ctx context.Context, o options, log io.Writer) (*report.Report, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, fmt.Errorf("make the directory of the bench: %w", err)
	}
	b := &bench{options: o, log: log, report: report.New()}
	started := time.Now()
	b.report.Machine = report.Machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if b.report.Machine.LoadBefore, err = stage.LoadAverage(); err != nil {
		return nil, err
	}
	if b.stage, err = stage.Start(ctx, o.root, o.manager, filepath.Join(dir, "stage"), log); err != nil {
		return nil, err
	}
	err = b.play(ctx)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, b.stage.Tail("operator-1"))
	}
	err = errors.Join(err, b.stage.Stop(context.WithoutCancel(ctx)))
	if err == nil {
		err = os.RemoveAll(dir)
	}
	b.report.Seconds = time.Since(started).Seconds()
	load, loadErr := stage.LoadAverage()
	b.report.Machine.LoadAfter = load
	return b.report, errors.Join(err, loadErr)
}

func (b *bench) play(ctx context.Context) error {
	// The observer ends before what it watches.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := b.connect(ctx); err != nil {
		return err
	}
	for _, s := range b.sizes {
		for i := range s.runs {
			r := &pass{bench: b, n: s.n, set: fmt.Sprintf("n%d-r%d", s.n, i+1), first: i == 0}
			for j := range s.n {
				r.keys = append(r.keys, workload.Key(r.set, j))
			}
			b.say("--- N=%d, run %d of %d", s.n, i+1, s.runs)
			if err := r.play(ctx); err != nil {
				return fmt.Errorf("N=%d, run %d: %w", s.n, i+1, err)
			}
		}
	}
	b.slope()
	return nil
}

func (b *bench) connect(ctx context.Context) error {
	for actor, into := range map[stage.Actor]*client.Client{
		stage.Harness: &b.harness, stage.Backend: &b.backendClient, stage.Somebody: &b.somebody,
	} {
		c, err := b.stage.Client(ctx, actor)
		if err != nil {
			return err
		}
		*into = c
	}
	watching, err := b.stage.Config(ctx, stage.Backend)
	if err != nil {
		return err
	}
	watcher, err := client.NewWithWatch(watching, client.Options{Scheme: b.harness.Scheme()})
	if err != nil {
		return fmt.Errorf("act as the backend: %w", err)
	}
	b.backend = backend.New(watcher)
	config, err := b.stage.Config(ctx, stage.Floor)
	if err != nil {
		return err
	}
	if b.floor, err = dynamic.NewForConfig(config); err != nil {
		return fmt.Errorf("act as the floor: %w", err)
	}
	if b.kinds, err = observer.Kinds(b.harness.Scheme(), b.harness.RESTMapper()); err != nil {
		return err
	}
	if config, err = b.stage.Config(ctx, stage.Observer); err != nil {
		return err
	}
	b.observer, err = observer.Start(ctx, config, b.kinds)
	return err
}

// say tells of progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// operatorUser is the operator in the audit log.
var operatorUser = stage.Operator.User()

// requests of the operator since a mark.
func (b *bench) requests(m audit.Mark) ([]audit.Request, error) {
	return b.stage.Audit.Since(m, operatorUser)
}

// rest waits until the operator has nothing more to do.
func (b *bench) rest(ctx context.Context) error {
	return b.stage.Audit.AwaitQuiet(ctx, operatorUser, time.Second, time.Minute)
}

// pass is one run at one N.
type pass struct {
	*bench
	n     int
	set   string
	keys  []types.NamespacedName
	first bool

	// children of all pipelines after the burst, and what burst and floors took.
	children     int
	floorObjects int
	floorSeconds []float64
	burstSeconds float64
	// heap before the first pipeline, in bytes.
	heap int64
	// stopBackend ends what settle began.
	stopBackend func() error
}

// add adds a figure of this pass.
func (p *pass) add(name string, value float64) {
	p.report.Add(name, p.n, value)
	p.say("  %-32s %.4g", name, value)
}

// play runs the phases.
func (p *pass) play(ctx context.Context) (err error) {
	defer func() {
		if p.stopBackend != nil {
			err = errors.Join(err, p.stopBackend())
		}
	}()
	steps := []struct {
		phase string
		run   func(context.Context) error
	}{
		{"", p.startOperator},
		{"memory", p.heapAtStart},
		{"floor", p.floorBefore},
		{"", p.burst},
		{"floor", p.floorAfter},
		{"", p.settle},
		{"drift", p.drift},
		{"spec", p.specChange},
		{"quiet", p.quietly},
		{"memory", p.heapFull},
		{"restart", p.restart},
		{"failover", p.failover},
		{"", p.remove},
		{"memory", p.heapAtEnd},
		{"", p.stopOperator},
	}
	for _, s := range steps {
		if s.phase != "" && !p.wants(s.phase) {
			continue
		}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

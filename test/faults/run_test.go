// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/manager"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// run is one pipeline in namespaces of its own, with an operator, or several one
// after the other, that no other run shares.
type run struct {
	namespace string // of the SparkPipeline
	workload  string // namespace that the children are in
	wire      *wire
	cluster   *cluster

	mu       sync.Mutex
	log      []string // lines of errors
	words    []string // all lines, for the search for secrets
	breaches []string
	history  []change
	current  *operator
	all      []*operator
	// ended refuses further operators.
	ended bool
}

// operator is one life of the operator's process.
type operator struct {
	dead   atomic.Bool
	synced atomic.Bool
	cancel context.CancelFunc
	done   chan struct{}
}

var serial atomic.Int32

// newRun makes the namespaces of a run. With dedicated, the children go into one
// of their own.
func newRun(ctx context.Context, dedicated bool) (*run, error) {
	r := &run{namespace: fmt.Sprintf("run-%05d", serial.Add(1))}
	r.workload = r.namespace
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.namespace}}
	if dedicated {
		r.workload = r.namespace + "-prod"
		ns.Annotations = map[string]string{desired.AnnotationAllowedNamespaces: r.workload}
	}
	r.wire = &wire{run: r, counts: map[string]int{}, last: time.Now()}
	r.cluster = newCluster(r)
	base.observer.attach(r, r.namespace, r.workload)
	if err := base.admin.Create(ctx, ns); err != nil {
		return nil, err
	}
	return r, r.start()
}

// start begins a life of the operator, with caches of its own.
func (r *run) start() error {
	o := &operator{done: make(chan struct{})}
	config := rest.CopyConfig(base.operator)
	config.WrapTransport = r.wire.around(o)
	mgr, err := manager.New(config, manager.Options{
		MetricsAddress: "0", ProbeAddress: "0", InstallID: "default", Workers: 4, DedicatedNamespaces: true,
		AgentImage: "sparkpipeline-operator:test", VeleroNamespace: "velero", Placement: "none",
		QuotaCeiling: "pods=1000,cpu=2000,memory=4Ti,storage=20Ti", GracefulTimeout: 5 * time.Second,
		Registry: prometheus.NewRegistry(), Logger: r.logger(o),
	})
	if err != nil {
		return fmt.Errorf("make an operator: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		cancel()
		return nil
	}
	r.current = o
	r.all = append(r.all, o)
	r.mu.Unlock()
	go func() { o.synced.Store(mgr.GetCache().WaitForCacheSync(ctx)) }()
	go func() {
		defer close(o.done)
		err := mgr.Start(ctx)
		if err != nil && !errors.Is(err, context.Canceled) && !o.dead.Load() {
			r.breach("the operator ended: %v", err)
		}
	}()
	return nil
}

// kill ends a life without a farewell: nothing that it still sends arrives. The
// next one begins at once.
func (r *run) kill(o *operator) {
	if o.dead.Swap(true) {
		return
	}
	o.cancel()
	go r.follow()
}

func (r *run) follow() {
	if err := r.start(); err != nil {
		r.breach("the operator that was killed did not start again: %v", err)
	}
}

// restart replaces the living operator and waits until the new one has its caches.
func (r *run) restart(ctx context.Context) error {
	r.mu.Lock()
	before := r.current
	r.mu.Unlock()
	if before.dead.Load() {
		go r.follow() // It was stopped before.
	} else {
		r.kill(before)
	}
	return eventually(ctx, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.current == before || !r.current.synced.Load() {
			return errors.New("the operator that follows has not synced its caches")
		}
		return nil
	})
}

// lives is the number of operators that were started.
func (r *run) lives() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// end stops all operators and waits until they are gone.
func (r *run) end() {
	r.mu.Lock()
	r.ended = true
	all := r.all
	r.mu.Unlock()
	for _, o := range all {
		o.dead.Store(true)
		o.cancel()
	}
	for _, o := range all {
		select {
		case <-o.done:
		case <-time.After(20 * time.Second):
			r.breach("an operator did not stop within 20 s")
		}
	}
	base.observer.detach(r.namespace, r.workload)
	r.cluster.stop()
	if err := r.sweep(); err != nil {
		r.breach("sweep up after the run: %v", err)
	}
}

// sweep removes what the run left, so that the API server holds no more than the
// runs under way: many requests of the operator look at all objects of a kind.
func (r *run) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), runDeadline)
	defer cancel()
	all, err := r.objects()
	if err != nil {
		return err
	}
	for _, o := range all {
		if len(o.GetFinalizers()) > 0 {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
			if err := client.IgnoreNotFound(base.admin.Patch(ctx, o.DeepCopy(), patch)); err != nil {
				return err
			}
		}
		if o.GetKind() == "Namespace" {
			// Nobody would end it: there is no controller of namespaces here.
			continue
		}
		if err := client.IgnoreNotFound(base.admin.Delete(ctx, o, client.GracePeriodSeconds(0))); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) breach(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breaches = append(r.breaches, fmt.Sprintf(format, args...))
}

// happened is told of each change of an object of the run, in order for each kind.
func (r *run) happened(c change) {
	r.mu.Lock()
	r.history = append(r.history, c)
	r.mu.Unlock()
	r.cluster.notice(c)
}

// forget drops what happened so far.
func (r *run) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = nil
}

// logger keeps the lines of an operator, those of a dead one apart: its requests
// fail because it is dead.
func (r *run) logger(o *operator) logr.Logger {
	return funcr.New(func(prefix, args string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.words = append(r.words, args)
		if !strings.Contains(args, `"level"=`) && !o.dead.Load() {
			r.log = append(r.log, args)
		}
	}, funcr.Options{})
}

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// mask takes from a text what differs from run to run.
func (r *run) mask(text string) string {
	text = strings.ReplaceAll(text, r.namespace, "NS")
	return hex.ReplaceAllString(moment.ReplaceAllString(text, "TIME"), "HEX")
}

// pipeline reads the pipeline.
func (r *run) pipeline(ctx context.Context) (*v1alpha1.SparkPipeline, error) {
	p := &v1alpha1.SparkPipeline{}
	return p, base.admin.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: pipelineName}, p)
}

// eventually polls until the condition holds.
func eventually(ctx context.Context, condition func() error) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// quiet waits until no operator of the run has sent a request for as long as
// window.
func (r *run) quiet(ctx context.Context, window time.Duration) error {
	return eventually(ctx, func() error {
		if d, n := r.wire.idle(); d < window {
			return fmt.Errorf("no %s without a request; %d so far", window, n)
		}
		return nil
	})
}

func compareStrings(a, b string) int { return strings.Compare(a, b) }

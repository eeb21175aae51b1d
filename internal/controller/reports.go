// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/reconcile/status"
)

// Paces of Reports.
const (
	// reportEvery is how old a report may grow: a stream that comes to rest changes
	// no readiness.
	reportEvery = 5 * time.Minute
	// reportRetry is the wait after a watch that did not answer.
	reportRetry = 30 * time.Second
	// reportTimeout bounds one reading.
	reportTimeout = 5 * time.Second
	// reportsAtOnce bounds the readings under way.
	reportsAtOnce = 8
	// reportSize bounds what is read of an answer, in bytes.
	reportSize = 4 << 20
)

// Reports holds what the watches of checkpoints say. It asks a watch when its
// readiness changes and now and then, aside of every pass, and wakes a pipeline
// only when the answer is news. The API server is asked nothing.
type Reports struct {
	// Get reads the report of the watch at an address.
	Get func(ctx context.Context, address string) (*observe.Report, error)

	wake chan event.GenericEvent
	slot chan struct{}

	mu    sync.Mutex
	known map[client.ObjectKey]*reading
}

// reading is the newest report of one pipeline's watch.
type reading struct {
	watch  observe.Watch
	report *observe.Report
	due    time.Time
	busy   bool
}

// NewReports returns Reports that read over HTTP.
func NewReports() *Reports {
	return &Reports{Get: getReport, wake: make(chan event.GenericEvent, 1024), slot: make(chan struct{}, reportsAtOnce),
		known: map[client.ObjectKey]*reading{}}
}

var reportClient = &http.Client{
	Timeout:   reportTimeout,
	Transport: &http.Transport{DisableKeepAlives: true},
	// A pod that answers with another address must not send the operator there.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func getReport(ctx context.Context, address string) (*observe.Report, error) {
	return getReportAt(ctx, net.JoinHostPort(address, strconv.Itoa(desired.PortWatch)))
}

func getReportAt(ctx context.Context, hostPort string) (*observe.Report, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostPort+"/status", nil)
	if err != nil {
		return nil, fmt.Errorf("ask the watch: %w", err)
	}
	answer, err := reportClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the watch: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the watch: it answers %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, reportSize))
	if err != nil {
		return nil, fmt.Errorf("ask the watch: %w", err)
	}
	return observe.ReadReport(body)
}

// Of answers with the newest report of a pipeline's watch; nil: there is none yet.
// A watch that has changed is asked again.
func (r *Reports) Of(key client.ObjectKey, w observe.Watch, now time.Time) *observe.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.known[key]
	if k == nil || k.watch.UID != w.UID {
		k = &reading{}
		r.known[key] = k
	}
	if k.watch != w {
		k.watch, k.due = w, now
	}
	r.ask(key, k, now)
	return k.report
}

// ask begins a reading if one is due. The lock is held.
func (r *Reports) ask(key client.ObjectKey, k *reading, now time.Time) {
	if k.busy || k.watch.Address == "" || now.Before(k.due) {
		return
	}
	k.busy = true
	asked := k.watch
	go func() {
		r.slot <- struct{}{}
		defer func() { <-r.slot }()
		ctx, cancel := context.WithTimeout(context.Background(), reportTimeout)
		defer cancel()
		report, err := r.Get(ctx, asked.Address)
		r.answered(key, k, asked, report, err, now)
	}()
}

// answered takes a report and wakes the pipeline if it is news. What a watch that
// does not answer said before no longer counts.
func (r *Reports) answered(key client.ObjectKey, k *reading, asked observe.Watch, report *observe.Report, err error, at time.Time) {
	r.mu.Lock()
	k.busy = false
	if r.known[key] != k {
		r.mu.Unlock()
		return
	}
	if k.watch != asked {
		// It has changed meanwhile: what it says now is wanted.
		r.ask(key, k, k.due)
		r.mu.Unlock()
		return
	}
	k.due = at.Add(reportEvery)
	if err != nil {
		k.due = at.Add(reportRetry)
		report = &observe.Report{State: v1alpha1.ProgressUnknown}
		ctrl.Log.WithName("reports").V(1).Info("The watch of a checkpoint does not answer", "pipeline", key, "error", err.Error())
	}
	news := k.report == nil || *k.report != *report
	k.report = report
	r.mu.Unlock()
	if news {
		p := &v1alpha1.SparkPipeline{}
		p.Namespace, p.Name = key.Namespace, key.Name
		r.wake <- event.GenericEvent{Object: p}
	}
}

// forget frees what is kept of a pipeline that is gone.
func (r *Reports) forget(key client.ObjectKey) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, key)
}

// Start asks watches whose report has grown old, until ctx ends.
func (r *Reports) Start(ctx context.Context) error {
	ticker := time.NewTicker(reportRetry)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			r.refresh(now)
		}
	}
}

func (r *Reports) refresh(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, k := range r.known {
		r.ask(key, k, now)
	}
}

// watched is what the watch of p's checkpoint says; nil: it was not asked yet.
func (r *Reconciler) watched(ctx context.Context, p *v1alpha1.SparkPipeline) (*status.Report, error) {
	if r.Reports == nil {
		return nil, nil
	}
	w, err := r.observer().Watch(ctx, p)
	if err != nil {
		return nil, err
	}
	report := r.Reports.Of(client.ObjectKeyFromObject(p), w, r.Clock.Now())
	switch {
	case w.UID == "":
		return &status.Report{State: v1alpha1.ProgressUnknown}, nil
	case report == nil:
		return nil, nil
	}
	return &status.Report{State: report.State, Since: report.Since, Watched: true, Reason: report.Reason, Message: report.Message}, nil
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// stopWithin is how long a signal leaves to requests and to looks under way. A file
// system that hangs does not hold the process for longer.
const stopWithin = 3 * time.Second

// serve looks and answers until ctx ends.
func (w *watcher) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: w.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	looking := w.start(ctx)
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		err = fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	stop()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.stopWithin)
	defer cancel()
	// Whoever is still reading an answer then reads no more of it.
	if closing := server.Shutdown(ending); closing != nil && !errors.Is(closing, context.DeadlineExceeded) {
		err = errors.Join(err, closing)
	}
	select {
	case <-looking:
	case <-ending.Done():
		w.log.Warn("A look at the checkpoint does not end; the process does")
	}
	return err
}

// start begins to look. The channel is closed when all looks have ended.
func (w *watcher) start(ctx context.Context) <-chan struct{} {
	var group sync.WaitGroup
	group.Go(func() { w.look(ctx) })
	group.Go(func() { w.verify(ctx) })
	group.Go(func() { w.digest(ctx) })
	group.Go(func() { w.list(ctx) })
	group.Go(func() { w.behind(ctx) })
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	return done
}

func (w *watcher) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newWatchMetrics(w.pipeline, w.status))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /status", w.serveStatus)
	mux.HandleFunc("GET /readyz", w.serveReady)
	mux.HandleFunc("GET /livez", func(out http.ResponseWriter, _ *http.Request) { fmt.Fprintln(out, "ok") })
	return mux
}

func (w *watcher) serveStatus(out http.ResponseWriter, _ *http.Request) {
	out.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(w.status()); err != nil {
		w.log.Debug("An answer was not read to its end", "error", err)
	}
}

func (w *watcher) serveReady(out http.ResponseWriter, _ *http.Request) {
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	s := w.status()
	if s.Ready {
		fmt.Fprintln(out, "ok")
		return
	}
	out.WriteHeader(http.StatusServiceUnavailable)
	for _, p := range s.Problems {
		fmt.Fprintln(out, strings.TrimLeft(fmt.Sprintf("%s %s: %s", p.Query, p.Reason, p.Message), " "))
	}
}

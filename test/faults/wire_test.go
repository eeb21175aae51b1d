// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// fault is a kind of failure of one request.
type fault string

const (
	unsent    fault = "unsent"    // the request fails before it leaves
	killed    fault = "killed"    // applied, and the operator dies before the answer
	lost      fault = "lost"      // applied, and the answer is lost
	conflict  fault = "conflict"  // 409
	throttled fault = "throttled" // 429 with Retry-After
	broken    fault = "broken"    // 500
	late      fault = "late"      // no answer in time
	denied    fault = "denied"    // a webhook says no
	quota     fault = "quota"     // a quota is full
)

var allFaults = []fault{unsent, killed, lost, conflict, throttled, broken, late, denied, quota}

// marker is part of every message of a fault, so that an error that a fault caused
// can be told from one that it uncovered.
const marker = "injected"

// point is one write of a run: the occurrence'th time that a request of this line
// is sent.
type point struct {
	line       string
	occurrence int
}

func (p point) String() string { return fmt.Sprintf("%s#%d", p.line, p.occurrence) }

// strike is a fault at a point.
type strike struct {
	at   point
	kind fault
}

func (s strike) String() string { return string(s.kind) + "@" + s.at.String() }

// wire stands between the operators of a run and the API server.
type wire struct {
	run *run

	mu       sync.Mutex
	armed    bool
	plan     []strike
	struck   []strike
	counts   map[string]int
	writes   []point
	last     time.Time // of any request but watches
	sent     int       // requests but watches
	breaches []string
	view     view
}

// view can answer reads in the place of the API server. nil passes them on.
type view interface {
	// ask may change the request; it answers whether the response is to be given
	// to see.
	answer(req *http.Request, next http.RoundTripper) (*http.Response, error)
}

// arm forgets what was sent so far and lets the plan begin.
func (w *wire) arm(plan []strike) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed, w.plan, w.counts, w.writes = true, plan, map[string]int{}, nil
}

func (w *wire) setView(v view) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view = v
}

// idle is how long nothing was sent, and how many requests there were so far.
func (w *wire) idle() (time.Duration, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.last), w.sent
}

func (w *wire) breach(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaches = append(w.breaches, fmt.Sprintf(format, args...))
}

// around is the transport of one operator.
func (w *wire) around(o *operator) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if o.dead.Load() {
				return nil, errors.New(marker + ": this operator is dead")
			}
			return w.trip(o, req, next)
		})
	}
}

func (w *wire) trip(o *operator, req *http.Request, next http.RoundTripper) (*http.Response, error) {
	req = w.run.narrow(req)
	if strings.Contains(req.URL.Path, "/events") {
		return next.RoundTrip(req)
	}
	watch := req.URL.Query().Get("watch") != ""
	w.mu.Lock()
	if !watch {
		w.last = time.Now()
		w.sent++
	}
	v := w.view
	w.mu.Unlock()
	if req.Method == http.MethodGet {
		if v != nil {
			return v.answer(req, next)
		}
		return next.RoundTrip(req)
	}
	if err := w.inspect(req); err != nil {
		return nil, err
	}
	return w.strike(o, req, next, w.take(req))
}

// take counts a write and answers with the fault that it is to meet, if any.
func (w *wire) take(req *http.Request) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.armed {
		return ""
	}
	line := w.run.line(req)
	w.counts[line]++
	here := point{line, w.counts[line]}
	w.writes = append(w.writes, here)
	for i, s := range w.plan {
		if s.at == here {
			w.plan = slices.Delete(slices.Clone(w.plan), i, i+1)
			w.struck = append(w.struck, s)
			return s.kind
		}
	}
	return ""
}

var hex = regexp.MustCompile(`[0-9a-f]{8,64}`)

// line names a request without what differs from run to run.
func (r *run) line(req *http.Request) string {
	line := req.Method + " " + r.mask(req.URL.Path)
	if req.URL.Query().Get("dryRun") != "" {
		line += "?dryRun"
	}
	return line
}

// narrow keeps an operator to the objects of its run, so that many of them can
// work on one API server, each with the rights and the caches of a whole cluster.
func (r *run) narrow(req *http.Request) *http.Request {
	const all = "/apis/sparkpipeline.dev/v1alpha1/sparkpipelines"
	query := req.URL.Query()
	switch {
	case req.URL.Path == all:
		req = req.Clone(req.Context())
		req.URL.Path = "/apis/sparkpipeline.dev/v1alpha1/namespaces/" + r.namespace + "/sparkpipelines"
	case query.Get("labelSelector") == desired.LabelPipelineNamespace:
		req = req.Clone(req.Context())
		query.Set("labelSelector", desired.LabelPipelineNamespace+"="+r.namespace)
		req.URL.RawQuery = query.Encode()
	case query.Get("labelSelector") == desired.LabelPipeline:
		req = req.Clone(req.Context())
		query.Set("labelSelector", desired.LabelPipeline+","+desired.LabelPipelineNamespace+"="+r.namespace)
		req.URL.RawQuery = query.Encode()
	}
	return req
}

var uid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// inspect holds a write against the rules that no write may break.
func (w *wire) inspect(req *http.Request) error {
	var text []byte
	if req.Body != nil {
		var err error
		if text, err = io.ReadAll(req.Body); err != nil {
			return err
		}
		req.Body = io.NopCloser(bytes.NewReader(text))
	}
	// The options are JSON or protobuf, depending on the client; a UID is nowhere in
	// them but among the preconditions.
	if req.Method == http.MethodDelete && !uid.Match(text) {
		w.breach("%s is sent without the UID of what it deletes: %s", w.run.line(req), text)
	}
	return nil
}

func (w *wire) strike(o *operator, req *http.Request, next http.RoundTripper, kind fault) (*http.Response, error) {
	switch kind {
	case "":
		return next.RoundTrip(req)
	case unsent:
		return nil, errors.New(marker + ": connection refused")
	case killed, lost:
		// The request goes through, whatever becomes of the operator meanwhile.
		answer, err := next.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
		if err == nil {
			_ = answer.Body.Close()
		}
		if kind == killed {
			w.run.kill(o)
		}
		return nil, errors.New(marker + ": the connection was lost")
	case conflict:
		return refusal(req, http.StatusConflict, "Conflict", "the object has been modified"), nil
	case throttled:
		r := refusal(req, http.StatusTooManyRequests, "TooManyRequests", "too many requests")
		r.Header.Set("Retry-After", "1")
		return r, nil
	case broken:
		return refusal(req, http.StatusInternalServerError, "InternalError", "etcd is not available"), nil
	case late:
		return nil, timeoutError{}
	case denied:
		return refusal(req, http.StatusForbidden, "Forbidden", `admission webhook "policy.example.com" denied the request`), nil
	case quota:
		return refusal(req, http.StatusForbidden, "Forbidden", "exceeded quota: tight"), nil
	}
	return nil, fmt.Errorf("no such fault: %s", kind)
}

type timeoutError struct{}

func (timeoutError) Error() string   { return marker + ": i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// refusal is what an API server answers when it does not do what it is asked.
func refusal(req *http.Request, code int, reason, message string) *http.Response {
	text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":%q,"code":%d}`, reason, message+" ("+marker+")", code)
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(text)), Request: req}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
)

// wire is what the engine's requests go through: it writes them down and can
// answer in the place of the API server.
type wire struct {
	next http.RoundTripper

	mu     sync.Mutex
	seen   []string
	times  []time.Time
	faults []*fault
}

// fault answers requests whose line begins with what, as often as times says.
type fault struct {
	what   string
	times  int
	answer func(req *http.Request, next http.RoundTripper) (*http.Response, error)
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	line, err := describeRequest(req)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.seen, w.times = append(w.seen, line), append(w.times, time.Now())
	var hit *fault
	for _, f := range w.faults {
		if hit == nil && f.times > 0 && strings.HasPrefix(line, f.what) {
			f.times--
			hit = f
		}
	}
	w.mu.Unlock()
	if hit != nil {
		return hit.answer(req, w.next)
	}
	return w.next.RoundTrip(req)
}

// inject lets the next requests like what, so many of them, be answered so.
func (w *wire) inject(what string, times int, answer func(*http.Request, http.RoundTripper) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &fault{what, times, answer})
}

// take answers with the requests since the last call.
func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.seen
	w.seen, w.times = nil, nil
	return out
}

// pause is the time between the first two requests since the last take.
func (w *wire) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.times) < 2 {
		return 0
	}
	return w.times[1].Sub(w.times[0])
}

// describeRequest writes a request down in one line, such as
// "APPLY configmaps/a uid=…" or "GET configmaps/a metadata".
func describeRequest(req *http.Request) (string, error) {
	method, rest := req.Method, ""
	var text []byte
	if req.Body != nil {
		var err error
		if text, err = io.ReadAll(req.Body); err != nil {
			return "", fmt.Errorf("read the body of a request: %w", err)
		}
		req.Body = io.NopCloser(bytes.NewReader(text))
	}
	switch {
	case method == http.MethodPatch && strings.HasPrefix(req.Header.Get("Content-Type"), "application/apply-patch"):
		method = "APPLY"
		sent := metav1.PartialObjectMetadata{}
		if err := json.Unmarshal(text, &sent); err != nil {
			return "", fmt.Errorf("decode an apply: %w", err)
		}
		if sent.UID != "" {
			rest = " uid=" + string(sent.UID)
		}
	case method == http.MethodDelete:
		sent := metav1.DeleteOptions{}
		if err := runtime.DecodeInto(clientgoscheme.Codecs.UniversalDeserializer(), text, &sent); err != nil {
			return "", fmt.Errorf("decode the options of a delete: %w", err)
		}
		if sent.Preconditions != nil && sent.Preconditions.UID != nil {
			rest = " uid=" + string(*sent.Preconditions.UID)
		}
	case method == http.MethodGet && strings.Contains(req.Header.Get("Accept"), "as=PartialObjectMetadata"):
		rest = " metadata"
	}
	_, path, found := strings.Cut(req.URL.Path, "/namespaces/")
	if found {
		_, path, _ = strings.Cut(path, "/")
	} else {
		path = req.URL.Path
	}
	return method + " " + path + rest, nil
}

// status answers as an API server would that refuses a request.
func status(code int, reason, message string, header ...string) func(*http.Request, http.RoundTripper) (*http.Response, error) {
	return func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":%q,"code":%d}`, reason, message, code)
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	}
}

// lost lets a request reach the API server and loses the answer.
func lost(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	answer, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return nil, timeoutError{}
}

// unsent keeps a request from the API server.
func unsent(*http.Request, http.RoundTripper) (*http.Response, error) { return nil, timeoutError{} }

// timeoutError is what a connection says that timed out.
type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

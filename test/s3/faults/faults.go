// SPDX-License-Identifier: Apache-2.0

// Package faults breaks requests to an object store on their way.
package faults

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fault is what happens to one request.
type Fault struct {
	// Status answers instead of the server, with an S3 error of Code.
	Status int
	Code   string
	// Reset breaks the connection before the request is sent.
	Reset bool
	// Lost sends the request and breaks the connection before its answer.
	Lost bool
	// CutAfter breaks the answer's body after so many bytes; 0 means never.
	CutAfter int64
	// StallAfter delivers so many bytes of the body and then nothing more; 0
	// means never.
	StallAfter int64
	// Pause delays every read of the body.
	Pause time.Duration
	// ETag replaces the one of the answer.
	ETag string
	// Flip inverts a bit of the body's first byte.
	Flip bool
}

// Transport injects faults.
type Transport struct {
	Next http.RoundTripper
	// Choose decides about the n-th request, from 1. It is called by one
	// goroutine at a time.
	Choose func(n int, r *http.Request) Fault

	mu sync.Mutex
	n  int
}

// Requests tells how many there were.
func (t *Transport) Requests() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

func (t *Transport) choose(r *http.Request) Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	return t.Choose(t.n, r)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	fault := t.choose(r)
	if fault.Reset || fault.Status != 0 {
		if r.Body != nil {
			_ = r.Body.Close()
		}
	}
	if fault.Reset {
		return nil, fmt.Errorf("send: %w", syscall.ECONNRESET)
	}
	if fault.Status != 0 {
		return answer(r, fault), nil
	}
	response, err := t.Next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if fault.Lost {
		_ = response.Body.Close()
		return nil, fmt.Errorf("receive: %w", syscall.ECONNRESET)
	}
	if fault.ETag != "" {
		response.Header.Set("ETag", fault.ETag)
	}
	if fault.CutAfter > 0 || fault.StallAfter > 0 || fault.Pause > 0 || fault.Flip {
		response.Body = &body{ReadCloser: response.Body, fault: fault, ended: r.Context().Done()}
	}
	return response, nil
}

func answer(r *http.Request, fault Fault) *http.Response {
	text := fmt.Sprintf("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>injected</Message></Error>", fault.Code)
	return &http.Response{
		Status: http.StatusText(fault.Status), StatusCode: fault.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(text)),
		ContentLength: int64(len(text)), Request: r,
	}
}

// body is an answer's body with a fault.
type body struct {
	io.ReadCloser
	fault Fault
	read  int64
	ended <-chan struct{}
}

func (b *body) Read(p []byte) (int, error) {
	if b.fault.Pause > 0 {
		time.Sleep(b.fault.Pause)
	}
	limit := max(b.fault.CutAfter, b.fault.StallAfter)
	if limit > 0 {
		if b.read >= limit && b.fault.StallAfter > 0 {
			<-b.ended
			return 0, io.ErrUnexpectedEOF
		}
		if b.read >= limit {
			return 0, fmt.Errorf("receive: %w", syscall.ECONNRESET)
		}
		p = p[:min(int64(len(p)), limit-b.read)]
	}
	n, err := b.ReadCloser.Read(p)
	if b.fault.Flip && b.read == 0 && n > 0 {
		p[0] ^= 1
	}
	b.read += int64(n)
	return n, err
}

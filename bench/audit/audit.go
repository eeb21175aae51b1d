// SPDX-License-Identifier: Apache-2.0

// Package audit counts requests from the API server's audit log, told apart by
// who made them. The server's own counters cannot tell one client from another.
package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Policy is an audit policy that logs the requests of the given users, one event
// when a request is answered, and of nobody else.
func Policy(users ...string) string {
	quoted, _ := json.Marshal(users) // A list of strings always encodes.
	return fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  nonResourceURLs: ["/*"]
- level: Metadata
  omitManagedFields: true
  users: %s
- level: None
`, quoted)
}

// Request is one answered request.
type Request struct {
	User string
	// Verb as the audit log has it, and "apply" for a server-side apply.
	Verb string
	// Resource with its subresource, such as sparkpipelines/status.
	Resource        string
	Namespace, Name string
	// Code of the answer.
	Code int
	// At is when the request was answered.
	At time.Time
}

// Kind sorts a request into what is counted together.
type Kind string

// Kinds of requests.
const (
	Read  Kind = "read"
	Write Kind = "write"
	// Event is a write of an Event object, which tells and changes nothing.
	Event Kind = "event"
	// Lease and Watch are what every controller does all the time; they are
	// listed apart. The first list of an informer is a watch, too, with the
	// streaming lists of current clients.
	Lease Kind = "lease"
	Watch Kind = "watch"
)

// Kind of the request.
func (r Request) Kind() Kind {
	switch {
	case r.Resource == "leases":
		return Lease
	case r.Resource == "events":
		return Event
	case r.Verb == "watch":
		return Watch
	case r.Verb == "get" || r.Verb == "list":
		return Read
	}
	return Write
}

// Log reads the audit log as it grows. It is safe for concurrent use.
type Log struct {
	path string

	mu       sync.Mutex
	offset   int64
	rest     []byte
	requests []Request
}

// Open returns the log at path, which may not exist yet.
func Open(path string) *Log { return &Log{path: path} }

// Mark is a place in the log.
type Mark int

// Mark returns the present end of the log.
func (l *Log) Mark() (Mark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.read()
	return Mark(len(l.requests)), err
}

// Since returns what a user asked for since the mark.
func (l *Log) Since(m Mark, user string) ([]Request, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		return nil, err
	}
	var out []Request
	for _, r := range l.requests[m:] {
		if r.User == user {
			out = append(out, r)
		}
	}
	return out, nil
}

// AwaitQuiet returns when the user has asked for nothing but leases and watches
// for the given time, or an error when that does not come about within the limit.
func (l *Log) AwaitQuiet(ctx context.Context, user string, quiet, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	mark, err := l.Mark()
	if err != nil {
		return err
	}
	last := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for time.Since(last) < quiet {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not come to rest for %s within %s", user, quiet, limit)
		case <-tick.C:
		}
		requests, err := l.Since(mark, user)
		if err != nil {
			return err
		}
		if Count(requests).Work() > 0 {
			last = time.Now()
		}
		if mark, err = l.Mark(); err != nil {
			return err
		}
	}
	return nil
}

// read takes in the lines that came since the last time.
func (l *Log) read() error {
	f, err := os.Open(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(l.offset, io.SeekStart); err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	reader := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := reader.ReadBytes('\n')
		l.offset += int64(len(line))
		l.rest = append(l.rest, line...)
		if errors.Is(err, io.EOF) {
			return nil // A line may be half written; the rest comes next time.
		}
		if err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
		r, err := parse(bytes.TrimSpace(l.rest))
		if err != nil {
			return err
		}
		l.requests = append(l.requests, r)
		l.rest = l.rest[:0]
	}
}

func parse(line []byte) (Request, error) {
	var e struct {
		Verb       string                    `json:"verb"`
		RequestURI string                    `json:"requestURI"`
		User       struct{ Username string } `json:"user"`
		ObjectRef  struct{ Resource, Subresource, Namespace, Name string }
		Status     struct{ Code int } `json:"responseStatus"`
		At         time.Time          `json:"stageTimestamp"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Request{}, fmt.Errorf("read a line of the audit log: %w", err)
	}
	r := Request{User: e.User.Username, Verb: e.Verb, Resource: e.ObjectRef.Resource, Namespace: e.ObjectRef.Namespace,
		Name: e.ObjectRef.Name, Code: e.Status.Code, At: e.At}
	if e.ObjectRef.Subresource != "" {
		r.Resource += "/" + e.ObjectRef.Subresource
	}
	// Only a server-side apply can be forced.
	if e.Verb == "patch" && strings.Contains(e.RequestURI, "force=true") {
		r.Verb = "apply"
	}
	return r, nil
}

// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const line = `{"kind":"Event","verb":"VERB","requestURI":"PATH","user":{"username":"us"},"objectRef":{"resource":"RESOURCE","namespace":"n","name":"o"},"responseStatus":{"code":CODE},"stageTimestamp":"2026-01-02T03:04:05.000006Z"}`

func event(verb, uri, resource, code string) string {
	return strings.NewReplacer("VERB", verb, "PATH", uri, "RESOURCE", resource, "CODE", code).Replace(line) + "\n"
}

func TestCountsAreOfOneUserSinceTheMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := Open(path)
	if m, err := l.Mark(); err != nil || m != 0 {
		t.Fatalf("a log that is not there yet: mark %d, %v", m, err)
	}
	before := event("get", "/x", "pods", "200")
	text := before +
		event("patch", "/x?fieldManager=a&force=true", "configmaps", "201") +
		event("patch", "/x?fieldManager=a", "sparkpipelines", "200") +
		event("get", "/x", "configmaps", "404") +
		event("create", "/x", "secrets", "409") +
		event("create", "/x", "events", "201") +
		event("update", "/x", "leases", "200") +
		event("watch", "/x", "pods", "200") +
		strings.Replace(event("delete", "/x", "pods", "200"), `"us"`, `"them"`, 1)
	cut := len(text) - 20 // The last line is still being written.
	if err := os.WriteFile(path, []byte(text[:len(before)]), 0o600); err != nil {
		t.Fatal(err)
	}
	mark, err := l.Mark()
	if err != nil || mark != 1 {
		t.Fatalf("mark %d, %v", mark, err)
	}
	if err := os.WriteFile(path, []byte(text[:cut]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Since(mark, "us"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ours, err := l.Since(mark, "us")
	if err != nil {
		t.Fatal(err)
	}
	c := Count(ours)
	if c.Reads != 1 || c.Writes != 3 || c.Events != 1 || c.Leases != 1 || c.Watches != 1 || c.Refused != 1 || c.Work() != 5 {
		t.Errorf("counts %+v", c)
	}
	if c.Verb("apply") != 1 || c.Verb("create") != 1 || c.Verb("delete") != 0 {
		t.Errorf("verbs of %s", c)
	}
	theirs, err := l.Since(mark, "them")
	if err != nil || len(theirs) != 1 || theirs[0].Verb != "delete" {
		t.Errorf("requests of the other %+v, %v", theirs, err)
	}
}

func TestAwaitQuietEndsInAnErrorWhenRequestsGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return
			}
			_, _ = f.WriteString(event("get", "/x", "pods", "200"))
			f.Close()
		}
	}()
	err := Open(path).AwaitQuiet(ctx, "us", 300*time.Millisecond, time.Second)
	if err == nil || !strings.Contains(err.Error(), "did not come to rest") {
		t.Errorf("got %v", err)
	}
}

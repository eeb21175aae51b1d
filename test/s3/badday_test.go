// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/agent"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/server"
)

// between stands between the agent and the server. It refuses requests after the
// first so many with an error of S3, and tells of each that it lets pass.
type between struct {
	refuse  string // the code of the error; empty: nothing is refused
	status  int
	after   int64
	passing func(r *http.Request)

	n atomic.Int64
}

func (b *between) start(t *testing.T) string {
	t.Helper()
	to, err := url.Parse(running.URL)
	if err != nil {
		t.Fatal(err)
	}
	// The name that the agent calls is a part of what it signs.
	forward := &httputil.ReverseProxy{Director: func(r *http.Request) { r.URL.Scheme, r.URL.Host = to.Scheme, to.Host }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.refuse != "" && b.n.Add(1) > b.after {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(b.status)
			fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>as the store says it</Message></Error>`, b.refuse)
			return
		}
		if b.passing != nil {
			b.passing(r)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// badDay is one thing that goes wrong.
type badDay struct {
	// store changes how the bucket is reached, place what is at the checkpoint.
	store  func(t *testing.T, s map[string]any)
	place  func(t *testing.T, root string)
	secret string
	// between is in the way; nil: nobody is.
	between *between
	// seeded: there is a recovery point before.
	seeded bool
	// afterwards changes what is in the bucket after that.
	afterwards func(t *testing.T, store objectstore.Store)
	// commands that meet it, with their arguments; TARGET is an empty directory.
	commands []string
	code     int
	says     string
	// do is what the message says should be done.
	do string
}

func oneRoot(t *testing.T, root string) { sparkRoot(t, "hdfs-41", filepath.Join(root, "orders")) }

var badDays = map[string]badDay{
	"missing bucket": {store: func(_ *testing.T, s map[string]any) { s["buckets"] = map[string]string{"backups": "nobody-made-this"} },
		commands: []string{"check", "backup", "points", "prune", "restore TARGET"},
		code:     agent.CodeMissingBucket, says: "nobody-made-this", do: "create the bucket or correct its name"},
	"wrong region": {store: func(_ *testing.T, s map[string]any) { s["region"] = "eu-central-9" },
		commands: []string{"check", "backup", "points", "prune", "restore TARGET"},
		code:     agent.CodeWrongRegion, says: "eu-central-9", do: "set the region in which the bucket was created"},
	"wrong credentials": {secret: wrongSecret,
		commands: []string{"check", "backup", "points", "prune", "restore TARGET"},
		code:     agent.CodeCredentials, says: "SignatureDoesNotMatch", do: "correct the access key and the secret key"},
	"expired token": {between: &between{refuse: "ExpiredToken", status: http.StatusBadRequest},
		commands: []string{"check", "backup", "points", "prune", "restore TARGET"},
		code:     agent.CodeExpiredToken, says: "ExpiredToken", do: "renew"},
	"a token that expires in the middle": {between: &between{refuse: "ExpiredToken", status: http.StatusForbidden, after: 4}, seeded: true,
		commands: []string{"backup", "restore TARGET"},
		code:     agent.CodeExpiredToken, says: "ExpiredToken", do: "renew"},
	"clock skew": {between: &between{refuse: "RequestTimeTooSkewed", status: http.StatusForbidden},
		commands: []string{"check", "backup", "points", "prune", "restore TARGET"},
		code:     agent.CodeClockSkew, says: "RequestTimeTooSkewed", do: "clock"},
	"no checkpoint": {place: func(t *testing.T, root string) {
		place(t, filepath.Join(root, "reports", "notes.txt"), "of people", time.Now())
	},
		commands: []string{"backup"},
		code:     agent.CodeNotCheckpoint, says: "no directory in it has a file metadata beside a directory offsets", do: "--root"},
	"no directory": {place: func(t *testing.T, root string) {
		if err := os.Remove(root); err != nil {
			t.Fatal(err)
		}
	},
		commands: []string{"backup"},
		code:     agent.CodeNotCheckpoint, says: "no such file or directory", do: "--root"},
	"an empty root": {place: func(t *testing.T, root string) {
		if err := os.Mkdir(filepath.Join(root, "lost+found"), 0o755); err != nil {
			t.Fatal(err)
		}
	},
		commands: []string{"backup"},
		code:     agent.CodeEmptyRoot, says: "is empty: there is no query root to back up", do: "--root"},
	"two roots nested": {place: func(t *testing.T, root string) {
		oneRoot(t, root)
		sparkRoot(t, "rocksdb-41", filepath.Join(root, "orders", "returns"))
	},
		commands: []string{"backup"},
		code:     agent.CodeNestedRoots, says: `"orders" and "orders/returns" lie in each other`, do: "give each query a directory of its own"},
	"a manifest from a newer version": {seeded: true, afterwards: func(t *testing.T, store objectstore.Store) {
		rewriteManifests(t, store, func(m map[string]any) { m["formatVersion"] = 99 })
	},
		commands: []string{"restore TARGET", "restore TARGET --point ID"},
		code:     agent.CodeNewerFormat, says: "has format version 99", do: "use the agent version that wrote it, or a newer one"},
	"a manifest that was cut off": {seeded: true, afterwards: func(t *testing.T, store objectstore.Store) {
		for _, key := range manifests(t, store) {
			put(t, store, key, `{"formatVersion": 1,`)
		}
	},
		commands: []string{"restore TARGET --point ID"},
		code:     agent.CodeFinding, says: "is not JSON", do: ""},
	"no point": {commands: []string{"restore TARGET"}, code: agent.CodeNoPoint, says: "no recovery point", do: ""},
}

func manifests(t *testing.T, store objectstore.Store) []string {
	t.Helper()
	var keys []string
	for info, err := range store.List(t.Context(), "pipelines/clicks/") {
		if objectstore.KindOf(err) == objectstore.KindMissingBucket {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(info.Key, "/points/") {
			keys = append(keys, info.Key)
		}
	}
	return keys
}

func rewriteManifests(t *testing.T, store objectstore.Store, change func(map[string]any)) {
	t.Helper()
	for _, key := range manifests(t, store) {
		body, _, err := store.Get(t.Context(), key, objectstore.Range{})
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.NewDecoder(body).Decode(&m); err != nil {
			t.Fatal(err)
		}
		body.Close()
		change(m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		put(t, store, key, string(text))
	}
}

// Each thing that goes wrong is said, with what to do, ends with a code of its own,
// and leaves nothing behind that looks whole: no manifest, no complete restore.
func TestBadDays(t *testing.T) {
	cause := map[int]string{}
	for title, day := range badDays {
		t.Run(title, func(t *testing.T) {
			as(t, server.RootAccess, server.RootSecret)
			root := t.TempDir()
			if day.place == nil {
				oneRoot(t, root)
			} else {
				day.place(t, root)
			}
			good := pipeline(t, root, t.TempDir(), nil)
			store := connect(t, options(bucket(t)))
			id := "none"
			if day.seeded {
				var first struct{ Point point }
				good.must(t, &first, "backup")
				id = first.Point.ID
				// So that the next backup has something to send.
				place(t, filepath.Join(root, "orders", "sources", "9", "0"), noise(3, 9<<20), time.Now().Add(-time.Hour))
			}
			if day.afterwards != nil {
				day.afterwards(t, store)
			}
			before := manifests(t, store)
			c := pipeline(t, root, t.TempDir(), func(s map[string]any) {
				if day.between != nil {
					s["endpoint"] = day.between.start(t)
				}
				if day.store != nil {
					day.store(t, s)
				}
			})
			if day.secret != "" {
				as(t, server.RootAccess, day.secret)
			}
			for _, line := range day.commands {
				target := filepath.Join(t.TempDir(), "target")
				args := strings.Fields(strings.NewReplacer("TARGET", target, "ID", id).Replace(line))
				if day.between != nil {
					day.between.n.Store(0)
				}
				code, _, errOut := c.run(t, args[0], args[1:]...)
				last := errOut[strings.LastIndex(errOut, "agent: ")+1:]
				if code != day.code || !strings.Contains(last, day.says) || !strings.Contains(last, day.do) {
					t.Errorf("%s: code %d, want %d: %s", line, code, day.code, last)
				}
				if record, err := backup.ReadRestoreRecord(t.Context(), nil, target); err == nil && record != nil && record.State == backup.RestoreComplete {
					t.Errorf("%s: it failed, and the target says that it is complete", line)
				}
			}
			if after := manifests(t, store); len(after) != len(before) {
				t.Errorf("%d manifests more are there", len(after)-len(before))
			}
			c.expectNoSecret(t)
		})
		kind := strings.TrimPrefix(title, "a token that expires in the middle")
		if other := cause[day.code]; other != "" && kind != "" && !alike[title] && !alike[other] {
			t.Errorf("%s and %s end with the same code %d", title, other, day.code)
		} else if kind != "" {
			cause[day.code] = title
		}
	}
}

// alike are causes that share their code with another by intent.
var alike = map[string]bool{"no checkpoint": true, "no directory": true}

// A file that gets shorter under the hands of a backup is not in any point: the cut is
// taken again, and given up when that never ends.
func TestAFileThatShrinksWhileItIsRead(t *testing.T) {
	as(t, server.RootAccess, server.RootSecret)
	for title, test := range map[string]struct {
		// shrinks is how often the file does, more seldom than there are attempts or not.
		shrinks int64
		code    int
	}{
		"once":      {1, agent.CodeOK},
		"each time": {100, agent.CodeOvertaken},
	} {
		t.Run(title, func(t *testing.T) {
			root := t.TempDir()
			oneRoot(t, root)
			file := filepath.Join(root, "orders", "sources", "9", "0")
			var size, shrunk atomic.Int64
			size.Store(32 << 20)
			place(t, file, noise(5, int(size.Load())), time.Now().Add(-time.Hour))
			b := &between{passing: func(r *http.Request) {
				// The file as it was planned, not a request that is sent again.
				if r.Method != http.MethodPut || r.ContentLength != size.Load() || shrunk.Load() == test.shrinks {
					return
				}
				shrunk.Add(1)
				if err := os.Truncate(file, size.Add(-8<<20)); err != nil {
					t.Error(err)
				}
			}}
			c := pipeline(t, root, t.TempDir(), func(s map[string]any) { s["endpoint"] = b.start(t) })
			code, _, errOut := c.run(t, "backup", "--attempts", "3")
			if code != test.code || shrunk.Load() < min(test.shrinks, 3) {
				t.Fatalf("code %d after it shrank %d times: %s", code, shrunk.Load(), errOut)
			}
			store := connect(t, options(bucket(t)))
			if test.code != agent.CodeOK {
				if !strings.Contains(errOut, "overtaken by the running query") || len(manifests(t, store)) > 0 {
					t.Errorf("%d manifests; it said %s", len(manifests(t, store)), errOut)
				}
				return
			}
			target := filepath.Join(t.TempDir(), "target")
			if code, _, errOut := c.run(t, "restore", target); code != agent.CodeOK {
				t.Fatalf("restore ended with %d: %s", code, errOut)
			}
			if got := filesBelow(t, target)["orders/sources/9/0"]; got != noise(5, 24<<20) {
				t.Errorf("restored are %d bytes of it", len(got))
			}
		})
	}
}

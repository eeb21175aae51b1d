// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/faults"
)

// sometimes gives a fault to about one of n requests, the same for a seed.
func sometimes(seed uint64, n int, fault func(*http.Request) faults.Fault) func(int, *http.Request) faults.Fault {
	rng := rand.New(rand.NewPCG(seed, 0))
	return func(_ int, r *http.Request) faults.Fault {
		if rng.IntN(n) != 0 {
			return faults.Fault{}
		}
		return fault(r)
	}
}

func fixed(f faults.Fault) func(*http.Request) faults.Fault {
	return func(*http.Request) faults.Fault { return f }
}

func onGet(f faults.Fault) func(*http.Request) faults.Fault {
	return func(r *http.Request) faults.Fault {
		if r.Method != http.MethodGet || r.URL.Query().Has("list-type") {
			return faults.Fault{}
		}
		return f
	}
}

// passing are faults that a repetition gets around, the same ones each time that
// they are asked for.
func passing() map[string]func(int, *http.Request) faults.Fault {
	return map[string]func(int, *http.Request) faults.Fault{
		"nothing":              func(int, *http.Request) faults.Fault { return faults.Fault{} },
		"500 InternalError":    sometimes(1, 4, fixed(faults.Fault{Status: 500, Code: "InternalError"})),
		"503 SlowDown":         sometimes(2, 4, fixed(faults.Fault{Status: 503, Code: "SlowDown"})),
		"429 TooManyRequests":  sometimes(3, 4, fixed(faults.Fault{Status: 429, Code: "TooManyRequests"})),
		"reset before sending": sometimes(4, 4, fixed(faults.Fault{Reset: true})),
		"answers lost":         sometimes(5, 4, fixed(faults.Fault{Lost: true})),
		"answers cut":          sometimes(6, 3, onGet(faults.Fault{CutAfter: 300})),
		"answers that stall":   sometimes(7, 6, onGet(faults.Fault{StallAfter: 200})),
		"slow answers":         sometimes(8, 2, onGet(faults.Fault{Pause: time.Millisecond})),
		"wrong ETags":          sometimes(9, 2, fixed(faults.Fault{ETag: `"00000000000000000000000000000000"`})),
	}
}

// What passes by itself must not stop a backup or a restore, and must never
// change a byte.
func TestFaultsThatPass(t *testing.T) {
	files := sample()
	dir := tree(t, files)
	for name, choose := range passing() {
		t.Run(name, func(t *testing.T) {
			o := options(bucket(t))
			o.Backoff.Attempts = 12
			o.Idle = 300 * time.Millisecond
			transport := &faults.Transport{Next: plainTransport(), Choose: choose}
			o.Transport = transport
			repo := repository(t, connect(t, o))
			m, err := repo.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(dir)})
			if err != nil {
				t.Fatal(err)
			}
			target := t.TempDir()
			if _, err := repo.Restore(t.Context(), backup.RestoreOptions{Point: m.ID, Target: target}); err != nil {
				t.Fatal(err)
			}
			expectContent(t, target, files)
		})
	}
}

func TestWrongBytesAreNeverRestored(t *testing.T) {
	files := sample()
	o := options(bucket(t))
	repo := repository(t, connect(t, o))
	m, err := repo.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(tree(t, files))})
	if err != nil {
		t.Fatal(err)
	}
	o.Transport = &faults.Transport{Next: plainTransport(), Choose: func(_ int, r *http.Request) faults.Fault {
		return faults.Fault{Flip: r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/objects/")}
	}}
	_, err = repository(t, connect(t, o)).Restore(t.Context(), backup.RestoreOptions{Point: m.ID, Target: t.TempDir()})
	if !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("restore: %v, want ErrDamaged", err)
	}
}

// A backup that fails for good at any request leaves no point that looks whole,
// and the next one is not hindered by what is left.
func TestFaultsForGoodInTheMiddle(t *testing.T) {
	files := sample()
	dir := tree(t, files)
	counted := &faults.Transport{Next: plainTransport(), Choose: func(int, *http.Request) faults.Fault { return faults.Fault{} }}
	o := options(bucket(t))
	o.Transport = counted
	if _, err := repository(t, connect(t, o)).Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(dir)}); err != nil {
		t.Fatal(err)
	}
	for after := range counted.Requests() {
		t.Run(fmt.Sprintf("403 after %d requests", after), func(t *testing.T) {
			o := options(bucket(t))
			healthy := repository(t, connect(t, o))
			o.Transport = &faults.Transport{Next: plainTransport(), Choose: func(n int, r *http.Request) faults.Fault {
				if n <= after {
					return faults.Fault{}
				}
				return faults.Fault{Status: 403, Code: "AccessDenied"}
			}}
			m, err := repository(t, connect(t, o)).Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(dir)})
			expectKind(t, err, objectstore.KindAccessDenied)
			points, listErr := healthy.Points(t.Context())
			if listErr != nil || (m == nil) != (len(points) == 0) {
				t.Fatalf("manifest %v was returned with %d points, %v", m, len(points), listErr)
			}
			m, err = healthy.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(dir)})
			if err != nil {
				t.Fatal(err)
			}
			target := t.TempDir()
			if _, err := healthy.Restore(t.Context(), backup.RestoreOptions{Point: m.ID, Target: target}); err != nil {
				t.Fatal(err)
			}
			expectContent(t, target, files)
		})
	}
}

func TestExpiredTokenAndClockSkewAreNotRetried(t *testing.T) {
	for code, kind := range map[string]objectstore.Kind{
		"ExpiredToken": objectstore.KindExpiredToken, "RequestTimeTooSkewed": objectstore.KindClockSkew,
		"InvalidAccessKeyId": objectstore.KindBadCredentials, "AccessDenied": objectstore.KindAccessDenied,
	} {
		t.Run(code, func(t *testing.T) {
			o := options(bucket(t))
			transport := &faults.Transport{Next: plainTransport(), Choose: func(int, *http.Request) faults.Fault {
				return faults.Fault{Status: 403, Code: code}
			}}
			o.Transport = transport
			_, err := connect(t, o).Head(t.Context(), "k")
			_, _, getErr := connect(t, o).Get(t.Context(), "k", objectstore.Range{})
			expectKind(t, getErr, kind)
			if err == nil || transport.Requests() != 2 {
				t.Errorf("%d requests, %v; want one each", transport.Requests(), err)
			}
		})
	}
}

func TestRightsNamesTheMissingOne(t *testing.T) {
	for _, test := range []struct{ method, query, action string }{
		{http.MethodPut, "", "s3:PutObject"}, {http.MethodGet, "list-type", "s3:ListBucket"},
		{http.MethodGet, "", "s3:GetObject"}, {http.MethodPost, "delete", "s3:DeleteObject"},
	} {
		t.Run(test.action, func(t *testing.T) {
			o := options(bucket(t))
			o.Transport = &faults.Transport{Next: plainTransport(), Choose: func(_ int, r *http.Request) faults.Fault {
				listing := r.URL.Query().Has("list-type")
				if r.Method == test.method && listing == (test.query == "list-type") {
					return faults.Fault{Status: 403, Code: "AccessDenied"}
				}
				return faults.Fault{}
			}}
			for _, right := range objectstore.Rights(t.Context(), connect(t, o), "p/") {
				if (right.Err != nil) != (right.Action == test.action) {
					t.Errorf("%s: %v, with %s taken away", right.Action, right.Err, test.action)
				}
			}
		})
	}
}

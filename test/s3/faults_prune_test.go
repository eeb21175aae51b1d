// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/faults"
)

// later is a store whose clock is ahead, as a prune reads it.
type later struct {
	next http.RoundTripper
	by   time.Duration
}

func (l later) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil || r.Method != http.MethodHead || !strings.HasSuffix(r.URL.Path, "/pruned.json") {
		return response, err
	}
	if at, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		response.Header.Set("Last-Modified", at.Add(l.by).UTC().Format(http.TimeFormat))
	}
	return response, nil
}

// pruned is a bucket with two points, of which one goes, and objects that only it
// names.
type pruned struct {
	options objectstore.Options
	healthy *backup.Repository
	newest  string
	files   map[string]string
}

func twoPoints(t *testing.T) *pruned {
	t.Helper()
	p := &pruned{options: options(bucket(t)), files: map[string]string{"metadata": `{"id":"a"}`, "commits/1": "", "state/0/0/9.snapshot": noise(1, 300<<10)}}
	for i := range 9 {
		p.files[fmt.Sprintf("state/0/0/%d.delta", i)] = noise(i, 2000)
	}
	p.healthy = repository(t, connect(t, p.options))
	before := maps.Clone(p.files)
	before["state/0/0/8.snapshot"] = noise(2, 300<<10)
	for _, files := range []map[string]string{before, p.files} {
		m, err := p.healthy.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(tree(t, files))})
		if err != nil {
			t.Fatal(err)
		}
		p.newest = m.ID
	}
	return p
}

// run prunes three times, as if two days lay between: the old point goes, its
// objects are condemned, and then collected.
func (p *pruned) run(t *testing.T, faulty http.RoundTripper, attempts int) error {
	t.Helper()
	for days := range 3 {
		o := p.options
		o.Transport, o.Backoff.Attempts, o.Idle = later{faulty, time.Duration(days+1) * 48 * time.Hour}, attempts, 300*time.Millisecond
		report, err := repository(t, connect(t, o)).Prune(t.Context(), backup.PruneOptions{Holder: owner, KeepFor: 30 * time.Hour})
		if err != nil {
			return err
		}
		if report.Blocked != "" || report.NewestVerified != p.newest {
			t.Errorf("prune: %+v", report)
		}
	}
	return nil
}

// expectOnlyNewest restores the point that stays, and looks for what should be gone.
func (p *pruned) expectOnlyNewest(t *testing.T) {
	t.Helper()
	p.expectNewest(t)
	points, err := p.healthy.Points(t.Context())
	if err != nil || len(points) != 1 {
		t.Errorf("there are %d points, %v; want one", len(points), err)
	}
	left, err := filepath.Glob(filepath.Join(running.dir, "buckets", p.options.Bucket, "backups/clicks", owner.UID, "objects", "*"))
	if err != nil || len(left) == 0 || len(left) > 3 {
		t.Errorf("left are %d objects, %v; want the list, the pack and the snapshot", len(left), err)
	}
}

func (p *pruned) expectNewest(t *testing.T) {
	t.Helper()
	target := t.TempDir()
	if _, err := p.healthy.Restore(t.Context(), backup.RestoreOptions{Point: p.newest, Target: target}); err != nil {
		t.Fatal(err)
	}
	expectContent(t, target, p.files)
}

func TestPruneUnderFaultsThatPass(t *testing.T) {
	for name, choose := range passing() {
		t.Run(name, func(t *testing.T) {
			p := twoPoints(t)
			if err := p.run(t, &faults.Transport{Next: plainTransport(), Choose: choose}, 12); err != nil {
				t.Fatal(err)
			}
			p.expectOnlyNewest(t)
		})
	}
}

// A prune that fails for good at any request leaves a point that restores, and the
// next one finishes its work.
func TestPruneThatFailsInTheMiddle(t *testing.T) {
	counted := &faults.Transport{Next: plainTransport(), Choose: func(int, *http.Request) faults.Fault { return faults.Fault{} }}
	if err := twoPoints(t).run(t, counted, 1); err != nil {
		t.Fatal(err)
	}
	for after := range counted.Requests() {
		t.Run(fmt.Sprintf("403 after %d requests", after), func(t *testing.T) {
			p := twoPoints(t)
			expectKind(t, p.run(t, deniedAfter(after), 1), objectstore.KindAccessDenied)
			p.expectNewest(t)
			if err := p.run(t, plainTransport(), 1); err != nil {
				t.Fatal(err)
			}
			p.expectOnlyNewest(t)
		})
	}
}

func deniedAfter(after int) *faults.Transport {
	return &faults.Transport{Next: plainTransport(), Choose: func(n int, _ *http.Request) faults.Fault {
		if n <= after {
			return faults.Fault{}
		}
		return faults.Fault{Status: 403, Code: "AccessDenied"}
	}}
}

// A restore that fails for good at any request says that it is incomplete, and the
// next run goes on with it.
func TestRestoreThatFailsInTheMiddle(t *testing.T) {
	files := sample()
	o := options(bucket(t))
	healthy := repository(t, connect(t, o))
	m, err := healthy.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(tree(t, files))})
	if err != nil {
		t.Fatal(err)
	}
	counted := &faults.Transport{Next: plainTransport(), Choose: func(int, *http.Request) faults.Fault { return faults.Fault{} }}
	o.Transport = counted
	if _, err := repository(t, connect(t, o)).Restore(t.Context(), backup.RestoreOptions{Point: m.ID, Target: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	for after := range counted.Requests() {
		t.Run(fmt.Sprintf("403 after %d requests", after), func(t *testing.T) {
			o := options(o.Bucket)
			o.Transport = deniedAfter(after)
			target := t.TempDir()
			_, err := repository(t, connect(t, o)).Restore(t.Context(), backup.RestoreOptions{Point: m.ID, Target: target})
			expectKind(t, err, objectstore.KindAccessDenied)
			record, err := backup.ReadRestoreRecord(t.Context(), nil, target)
			if err != nil || record != nil && record.State != backup.RestoreIncomplete || record == nil && after > 1 {
				t.Errorf("after %d requests the record is %+v, %v", after, record, err)
			}
			if _, err := healthy.Restore(t.Context(), backup.RestoreOptions{Point: m.ID, Target: target}); err != nil {
				t.Fatal(err)
			}
			expectContent(t, target, files)
		})
	}
}

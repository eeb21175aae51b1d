// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/observe"
	"sparkpipeline.dev/operator/internal/watch"
)

var reportKey = client.ObjectKey{Namespace: "data", Name: "orders"}

// playReports runs a play in a bubble whose clock stands still while all wait.
// answer is what the watch says; asked counts how often.
func playReports(t *testing.T, play func(r *Reports, answer func(*observe.Report, error), asked func() int, woken func() int)) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReports()
		var report *observe.Report
		err := errors.New("no answer is set")
		n, woken := 0, 0
		r.Get = func(context.Context, string) (*observe.Report, error) {
			n++
			return report, err
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = r.Start(ctx) }()
		play(r, func(next *observe.Report, e error) { report, err = next, e },
			func() int { synctest.Wait(); return n },
			func() int {
				synctest.Wait()
				for len(r.wake) > 0 {
					<-r.wake
					woken++
				}
				return woken
			})
		stop()
		synctest.Wait()
	})
}

func TestReportIsReadAsideAndWakesOnlyWhenItIsNews(t *testing.T) {
	playReports(t, func(r *Reports, answer func(*observe.Report, error), asked, woken func() int) {
		pod := observe.Watch{UID: "1", Address: "192.0.2.1", Ready: true}
		answer(&observe.Report{State: v1alpha1.ProgressAdvancing}, nil)
		if got := r.Of(reportKey, pod, time.Now()); got != nil {
			t.Errorf("the first pass waited for an answer: %+v", got)
		}
		if asked() != 1 || woken() != 1 {
			t.Fatalf("asked %d times, woken %d times; expected once each", asked(), woken())
		}
		if got := r.Of(reportKey, pod, time.Now()); got == nil || got.State != v1alpha1.ProgressAdvancing {
			t.Errorf("got %+v", got)
		}
		// An hour in which nothing changes costs a few questions and no pass.
		time.Sleep(time.Hour)
		if asked() < 11 || asked() > 13 || woken() != 1 {
			t.Errorf("in an hour of rest: asked %d times, woken %d times", asked(), woken())
		}
		answer(&observe.Report{State: v1alpha1.ProgressIdle}, nil)
		time.Sleep(reportEvery + reportRetry)
		if woken() != 2 || r.Of(reportKey, pod, time.Now()).State != v1alpha1.ProgressIdle {
			t.Errorf("a stream that came to rest: woken %d times", woken())
		}
	})
}

func TestReportIsReadAgainWhenReadinessChanges(t *testing.T) {
	playReports(t, func(r *Reports, answer func(*observe.Report, error), asked, woken func() int) {
		pod := observe.Watch{UID: "1", Address: "192.0.2.1", Ready: true}
		answer(&observe.Report{State: v1alpha1.ProgressAdvancing}, nil)
		r.Of(reportKey, pod, time.Now())
		asked()
		pod.Ready = false
		answer(&observe.Report{State: v1alpha1.ProgressStalled, Reason: "SecondWriter"}, nil)
		if got := r.Of(reportKey, pod, time.Now()); got == nil || got.State != v1alpha1.ProgressAdvancing {
			t.Errorf("until the answer comes the last one counts, got %+v", got)
		}
		if asked() != 2 || woken() != 2 {
			t.Errorf("asked %d times, woken %d times; expected twice each", asked(), woken())
		}
		// Another pod knows nothing of what this one said.
		pod.UID, pod.Address = "2", ""
		if got := r.Of(reportKey, pod, time.Now()); got != nil || asked() != 2 {
			t.Errorf("a pod without an address: asked %d times, got %+v", asked(), got)
		}
	})
}

func TestReportOfAWatchThatDoesNotAnswerIsUnknown(t *testing.T) {
	playReports(t, func(r *Reports, answer func(*observe.Report, error), asked, woken func() int) {
		pod := observe.Watch{UID: "1", Address: "192.0.2.1"}
		answer(nil, errors.New("connection refused"))
		r.Of(reportKey, pod, time.Now())
		asked()
		if got := r.Of(reportKey, pod, time.Now()); got == nil || got.State != v1alpha1.ProgressUnknown {
			t.Errorf("got %+v", got)
		}
		answer(&observe.Report{State: v1alpha1.ProgressAdvancing}, nil)
		time.Sleep(2 * reportRetry)
		if got := r.Of(reportKey, pod, time.Now()); got.State != v1alpha1.ProgressAdvancing || woken() != 2 {
			t.Errorf("after it answers: %+v, woken %d times", got, woken())
		}
		r.forget(reportKey)
		before := asked()
		time.Sleep(time.Hour)
		if asked() != before {
			t.Error("a pipeline that is gone is still asked about")
		}
	})
}

// What the watch really serves is what the operator reads.
func TestReportOfTheWatchIsUnderstood(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := watch.New(watch.Pace{Slowest: time.Minute}, watch.Declared{Name: "agg", Path: "agg", StallAfter: time.Minute, Since: begin})
	w.Queries()[0].Looked(begin, watch.Look{Offsets: []watch.Batch{{Number: 3, Time: begin}}})
	w.Owned(&watch.Owner{}, "the checkpoint belongs to pipeline other/one")
	body, err := json.Marshal(w.Status(begin.Add(5 * time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := observe.ReadReport(body)
	if err != nil || r.State != v1alpha1.ProgressStalled || !r.Since.Equal(begin) ||
		r.Reason != "OtherOwner" || r.Message != "the checkpoint belongs to pipeline other/one" {
		t.Errorf("read %+v, %v of %s", r, err, body)
	}
	for _, bad := range []string{`{`, `{"formatVersion":2,"progress":{"state":"Idle"}}`, `{"formatVersion":1,"progress":{"state":"Flying"}}`, `{}`} {
		if r, err := observe.ReadReport([]byte(bad)); err == nil {
			t.Errorf("%s was read as %+v", bad, r)
		}
	}
}

func TestReportIsReadOverHTTPWithoutFollowing(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		says    string
	}{
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, "500"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "302"},
		{"another page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "read what the watch says"},
	} {
		server := httptest.NewServer(test.handler)
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		_, err := getReportAt(t.Context(), "127.0.0.1:"+port)
		server.Close()
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

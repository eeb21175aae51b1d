// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/checkpoint/checkpointtest"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
	"sparkpipeline.dev/operator/internal/watch"
)

// patienceOfTests is how long a test waits for what must come.
const patienceOfTests = 20 * time.Second

// watched is `agent watch` while it runs.
type watched struct {
	t    *testing.T
	base string
	stop context.CancelFunc
	done chan ran
}

// startWatch runs the command with a fast pace and waits until it listens.
func startWatch(t *testing.T, change func(*agent), args ...string) *watched {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watched{t: t, stop: stop, done: make(chan ran, 1)}
	address := make(chan net.Addr, 1)
	args = append([]string{"watch", "--listen", "127.0.0.1:0", "--fastest", "10ms", "--slowest", "20ms", "--verify-every", "20ms", "--deep-every", "20ms"}, args...)
	go func() {
		w.done <- runAgentContext(t, ctx, func(a *agent) {
			a.listening = func(at net.Addr) { address <- at }
			if change != nil {
				change(a)
			}
		}, args...)
	}()
	select {
	case at := <-address:
		w.base = "http://" + at.String()
	case r := <-w.done:
		stop()
		t.Fatalf("ended at once with code %d: %s", r.code, r.errOut)
	}
	t.Cleanup(func() { w.end() })
	return w
}

// end stops the command as SIGTERM does and returns what it left.
func (w *watched) end() ran {
	w.t.Helper()
	w.stop()
	select {
	case r := <-w.done:
		w.done <- r
		return r
	case <-time.After(patienceOfTests):
		w.t.Fatal("the command does not stop")
	}
	return ran{}
}

func (w *watched) get(path string) (int, string) {
	w.t.Helper()
	answer, err := http.Get(w.base + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func (w *watched) status() watch.Status {
	w.t.Helper()
	var s watch.Status
	if _, body := w.get("/status"); json.Unmarshal([]byte(body), &s) != nil {
		w.t.Fatalf("status is %s", body)
	}
	return s
}

// until waits until a status is as it should be.
func (w *watched) until(what string, is func(watch.Status) bool) watch.Status {
	w.t.Helper()
	for end := time.Now().Add(patienceOfTests); ; time.Sleep(5 * time.Millisecond) {
		s := w.status()
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			text, _ := json.MarshalIndent(s, "", " ")
			w.t.Fatalf("not seen: %s; status is %s", what, text)
		}
	}
}

func ready(s watch.Status) bool { return s.Ready }

func reasonsOf(s watch.Status) string {
	var out []string
	for _, p := range s.Problems {
		out = append(out, strings.TrimSpace(p.Query+" "+string(p.Reason)))
	}
	return strings.Join(out, ", ")
}

func because(reasons string) func(watch.Status) bool {
	return func(s watch.Status) bool { return reasonsOf(s) == reasons }
}

func committed(n int64) func(watch.Status) bool {
	return func(s watch.Status) bool {
		return len(s.Queries) > 0 && s.Queries[0].LastCommit != nil && *s.Queries[0].LastCommit == n
	}
}

// plan and commit write as Spark does: the offsets before the batch, the commit
// after it.
func plan(t *testing.T, root string, batch int) {
	t.Helper()
	write(t, root, time.Now(), map[string]string{
		"metadata":                       `{"id":"99e24cd2-c458-472a-ac36-0986b9a6cd86"}`,
		fmt.Sprintf("offsets/%d", batch): fmt.Sprintf("v1\n{\"batchWatermarkMs\":0,\"conf\":{}}\n{\"clicks\":{\"0\":%d}}", batch),
	})
}

func commit(t *testing.T, root string, batch int) {
	t.Helper()
	write(t, root, time.Now(), map[string]string{fmt.Sprintf("commits/%d", batch): "v1\n{\"nextBatchWatermarkMs\":0}"})
}

func TestWatchFollowsAQuery(t *testing.T) {
	place := t.TempDir()
	root := filepath.Join(place, "orders")
	w := startWatch(t, nil, "--root", place, "--query", "orders", "--stall-after", "1h")
	w.until("the root is not there yet", because("orders NothingCommitted"))
	if code, body := w.get("/readyz"); code != 503 || body != "orders NothingCommitted: no batch is committed yet\n" {
		t.Errorf("readiness is %d %q", code, body)
	}
	for n := range 8 {
		plan(t, root, n)
		s := w.until("the batch is under way", func(s watch.Status) bool { return s.Queries[0].InFlight && *s.Queries[0].LastOffset == int64(n) })
		if n > 0 && *s.Queries[0].LastCommit != int64(n-1) {
			t.Errorf("during batch %d the newest commit is %d", n, *s.Queries[0].LastCommit)
		}
		commit(t, root, n)
		w.until("the batch is committed", committed(int64(n)))
	}
	s := w.until("the root is verified", func(s watch.Status) bool {
		v := s.Queries[0].Verification
		return s.Ready && v != nil && v.Files == 17 && v.DeepLevel == 4 && v.Restorable == 8
	})
	q := s.Queries[0]
	if q.QueryID != "" && q.QueryID != "99e24cd2-c458-472a-ac36-0986b9a6cd86" || q.Trigger.Measured <= 0 || q.Trigger.Batch <= 0 || q.InFlight || q.LastCommitAge < 0 || q.Verification.Bytes == 0 {
		t.Errorf("status is %+v", q)
	}
	if code, body := w.get("/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("readiness is %d %q", code, body)
	}
	if code, body := w.get("/livez"); code != 200 || body != "ok\n" {
		t.Errorf("liveness is %d %q", code, body)
	}
	stalled := filepath.Join(root, "offsets", "8")
	plan(t, root, 8)
	if err := os.Chtimes(stalled, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.until("the batch takes too long", because("orders Stalled"))
	r := w.end()
	if r.code != 0 {
		t.Errorf("ended with code %d: %s", r.code, r.errOut)
	}
	if !strings.Contains(r.errOut, `level=WARN msg=Problem query=orders reason=Stalled message="batch 8 is under way for 2h0m0s, longer than 1h0m0s"`) ||
		!strings.Contains(r.errOut, `level=INFO msg="Problem is over" query=orders reason=NothingCommitted`) {
		t.Errorf("log is %s", r.errOut)
	}
	if r.last.Command != "watch" || r.last.Code != 0 {
		t.Errorf("last word is %+v", r.last)
	}
}

// Roots that real Spark wrote, sound ones and ones with a trace or damage.
func TestWatchJudgesRootsOfSpark(t *testing.T) {
	for _, test := range []struct{ fixture, remove, reasons string }{
		{"hdfs-41", "", ""},
		{"rocksdb-changelog-43", "", ""},
		{"kafka-41", "", ""},
		{"zombie-after-rewind-41", "", "root SecondWriter"},
		{"hdfs-41", "state/0/1/6.delta", "root Damaged"},
	} {
		t.Run(test.fixture+test.remove, func(t *testing.T) {
			root := checkpointtest.Unpack(t, test.fixture)
			if test.remove != "" {
				if err := os.Remove(filepath.Join(root, test.remove)); err != nil {
					t.Fatal(err)
				}
			}
			w := startWatch(t, nil, "--root", filepath.Dir(root), "--query", "root", "--stall-after", "1000000h")
			s := w.until("it is verified", func(s watch.Status) bool { return s.Queries[0].Verification != nil && s.Queries[0].LastCommit != nil })
			if got := reasonsOf(s); got != test.reasons {
				t.Errorf("problems are %q, want %q", got, test.reasons)
			}
		})
	}
}

// A root is not touched, not even one that may be written to.
func TestWatchWritesNothing(t *testing.T) {
	root := checkpointtest.Unpack(t, "hdfs-41")
	before := stamps(t, root)
	w := startWatch(t, nil, "--root", filepath.Dir(root), "--deep-level", "6")
	w.until("it is verified", func(s watch.Status) bool {
		return len(s.Queries) == 1 && s.Queries[0].Verification != nil && s.Queries[0].Verification.Level == 6
	})
	if !w.status().Queries[0].Abandoned {
		t.Error("a root that was found, and is old, counts")
	}
	w.end()
	if after := stamps(t, root); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// stamps are names, sizes and times of everything in a directory.
func stamps(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(filepath.Dir(dir), func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&out, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWatchNoticesAnExchangedVolume(t *testing.T) {
	place := t.TempDir()
	root := filepath.Join(place, "orders")
	for n := range 3 {
		plan(t, root, n)
		commit(t, root, n)
	}
	w := startWatch(t, nil, "--root", place, "--query", "orders")
	w.until("the root is sound", ready)
	if err := os.Rename(root, filepath.Join(place, "gone")); err != nil {
		t.Fatal(err)
	}
	s := w.until("the root is gone", because("orders Replaced, orders NothingCommitted"))
	if c := s.Queries[0].Change; c.Kind != watch.ChangeEmptied || c.Message != "batch 2 was committed, and now none is" {
		t.Errorf("change is %+v", c)
	}
	plan(t, root, 0)
	commit(t, root, 0)
	s = w.until("an older root is in its place", because("orders Replaced"))
	if c := s.Queries[0].Change; c.Message != "batch 2 was committed, and now batch 0 is the newest" {
		t.Errorf("change is %+v", c)
	}
	if _, body := w.get("/metrics"); !strings.Contains(body, `sparkpipeline_checkpoint_replaced{query="orders"} 1`) || !strings.Contains(body, `sparkpipeline_checkpoint_healthy{query="orders"} 0`) {
		t.Errorf("metrics do not tell of it: %s", ours(body))
	}
}

// ours are the lines of the agent's own metrics.
func ours(metrics string) string {
	var out []string
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "sparkpipeline_") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

const watchConfig = `{
  "pipeline": {"namespace": "shop", "name": "clicks", "uid": "0b5c"},
  "workloadNamespace": "shop", "sparkVersion": "4.1.1", "root": %q,
  "queries": [{"name": "orders", "path": "deep/orders", "trigger": "10s"}],
  "eventLogs": "/mnt/spark-events",
  "objectStore": {"region": "us-west-2", "buckets": {"backups": "b-backups"}}, "backupPrefix": "sparkpipeline/shop/clicks-1",
  "backup": {}
}`

func TestWatchServesWhatTheOperatorNeeds(t *testing.T) {
	place := t.TempDir()
	root := filepath.Join(place, "deep", "orders")
	for n := range 3 {
		plan(t, root, n)
		commit(t, root, n)
	}
	write(t, place, time.Now(), map[string]string{".sparkpipeline-owner.json": `{"formatVersion":1,"namespace":"shop","name":"clicks","uid":"0b5c","epoch":2,"roots":{"deep/orders":1}}`})
	conf := filepath.Join(t.TempDir(), "pipeline.json")
	mounted := tree(t, map[string]string{"secret/orders-db/password": "s3cret", "configmap/orders/rules.yaml": "a: b"})
	write(t, filepath.Dir(conf), time.Now(), map[string]string{"pipeline.json": fmt.Sprintf(watchConfig, place)})
	store := &objectstoretest.Memory{}
	seed(t, store, holder, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), whole(t, root, "deep/orders", 2))
	w := startWatch(t, func(a *agent) {
		a.open = func(objectstore.Options) (objectstore.Store, error) { return store, nil }
	}, "--config", conf, "--mounted", mounted)
	s := w.until("all was looked at", func(s watch.Status) bool { return s.Ready && s.Points != nil && s.Mounted != nil })
	if s.Owner == nil || s.Owner.UID != "0b5c" || s.Owner.Epoch != 2 {
		t.Errorf("owner is %+v", s.Owner)
	}
	if p := s.Points; p.Count != 1 || p.Verified != 1 || p.NewestVerified.Batches["deep/orders"] != 2 || !p.NewestVerified.CompletedAt.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("points are %+v", p)
	}
	// SHA-256 over "password" and "s3cret", each after its length as eight bytes.
	if got := s.Mounted.Digests["secret/orders-db"]; got != "3e2dcaf8c05cede777f79ccc8e4a6af112d81336b7d4c9a782105b98e1fee8d9" || len(s.Mounted.Digests) != 2 {
		t.Errorf("digests are %v", s.Mounted.Digests)
	}
	_, body := w.get("/metrics")
	for _, line := range []string{
		`sparkpipeline_checkpoint_healthy{pipeline="clicks",pipeline_namespace="shop",query="orders"} 1`,
		`sparkpipeline_checkpoint_last_committed_batch{pipeline="clicks",pipeline_namespace="shop",query="orders"} 2`,
		`sparkpipeline_checkpoint_in_flight_seconds{pipeline="clicks",pipeline_namespace="shop",query="orders"} 0`,
		`sparkpipeline_checkpoint_files{pipeline="clicks",pipeline_namespace="shop",query="orders"} 7`,
		`sparkpipeline_query_trigger_declared_seconds{pipeline="clicks",pipeline_namespace="shop",query="orders"} 10`,
		`sparkpipeline_watch_ready{pipeline="clicks",pipeline_namespace="shop"} 1`,
		`sparkpipeline_recovery_points_verified{pipeline="clicks",pipeline_namespace="shop"} 1`,
		`sparkpipeline_recovery_point_newest_verified_timestamp_seconds{pipeline="clicks",pipeline_namespace="shop"} 1.7723664e+09`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no series %s in %s", line, ours(body))
		}
	}
	if strings.Contains(body, "s3cret") || strings.Contains(fmt.Sprint(w.get("/status")), "s3cret") {
		t.Error("a secret is shown")
	}
}

// A record that names another pipeline, or more than there is, is told at once by a
// watch that has just begun.
func TestWatchReadsTheRecordBesideTheRoots(t *testing.T) {
	for record, reasons := range map[string]string{
		`{"formatVersion":1,"namespace":"shop","name":"clicks","roots":{"deep/orders":5}}`: "orders Older",
		`{"formatVersion":1,"namespace":"shop","name":"other"}`:                            "OtherOwner",
		`{"formatVersion":1,`: "OtherOwner",
	} {
		place := t.TempDir()
		plan(t, filepath.Join(place, "deep", "orders"), 0)
		commit(t, filepath.Join(place, "deep", "orders"), 0)
		write(t, place, time.Now(), map[string]string{".sparkpipeline-owner.json": record,
			"conf/pipeline.json": fmt.Sprintf(watchConfig, place)})
		w := startWatch(t, nil, "--config", filepath.Join(place, "conf", "pipeline.json"), "--points-every", "0")
		w.until(record, because(reasons))
		w.end()
	}
}

func TestWatchRefusesWrongUse(t *testing.T) {
	dir := t.TempDir()
	for line, says := range map[string]string{
		"":                                        "no checkpoint is given",
		"--root " + dir + " --deep-level 3":       "--deep-level is 3",
		"--root " + dir + " --slowest 1ms":        "--slowest is 1ms",
		"--root " + dir + " --stall-after 0s":     "--stall-after is 0s",
		"--root " + dir + " --query ../x":         `--query is "../x"`,
		"--root " + dir + " --query a --query a/": `--query is "a/"`,
		"--root " + dir + " --points-every -1s":   "--points-every is -1s",
	} {
		r := runAgent(t, nil, append([]string{"watch"}, strings.Fields(line)...)...)
		if r.code != CodeUsage || !strings.Contains(r.errOut, says) {
			t.Errorf("%s: code %d, %s", line, r.code, r.errOut)
		}
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	r := runAgent(t, nil, "watch", "--root", dir, "--listen", busy.Addr().String())
	if r.code != CodeFailed || !strings.Contains(r.errOut, "serve on --listen") {
		t.Errorf("a port in use: code %d, %s", r.code, r.errOut)
	}
}

// stuck is a checkpoint on a file system that does not answer any more.
type stuck struct {
	directory
	release chan struct{}
}

func (s stuck) glance(context.Context, string, int64, int64) (watch.Look, error) {
	<-s.release
	return watch.Look{}, nil
}

func (s stuck) verifiable(string) (checkpoint.Source, func(), error) {
	<-s.release
	return nil, nil, os.ErrClosed
}

// Whoever asks gets an answer, and the process ends, whatever the file system does.
func TestWatchAnswersAndStopsWhileTheFileSystemHangs(t *testing.T) {
	s := stuck{directory{t.TempDir()}, make(chan struct{})}
	defer close(s.release)
	pace := watch.Pace{Fastest: time.Millisecond, Slowest: time.Minute, Shallow: time.Millisecond, Deep: time.Millisecond}
	w := &watcher{log: slog.New(slog.DiscardHandler), now: time.Now, at: s, stopWithin: 50 * time.Millisecond,
		state: watch.New(pace, watch.Declared{Name: "orders", Path: "orders", Since: time.Now()})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.serve(ctx, listener) }()
	asked := &watched{t: t, base: "http://" + listener.Addr().String()}
	if code, body := asked.get("/readyz"); code != 503 || body != "orders Starting: the root was not looked at yet\n" {
		t.Errorf("readiness is %d %q", code, body)
	}
	if code, _ := asked.get("/livez"); code != 200 {
		t.Errorf("liveness is %d", code)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patienceOfTests):
		t.Fatal("a look that hangs holds the process")
	}
}

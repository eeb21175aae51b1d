// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// eventLogs is a directory with two finished applications, and a live one.
func eventLogs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, time.Now().Add(-8*24*time.Hour), map[string]string{
		"spark-aa11": "events of aa", "eventlog_v2_spark-bb22/appstatus_spark-bb22": "", "eventlog_v2_spark-bb22/events_1_spark-bb22": "events of bb",
		"eventlog_v2_spark-cc33/appstatus_spark-cc33.inprogress": "", "eventlog_v2_spark-cc33/events_1_spark-cc33": "events of cc",
	})
	write(t, dir, time.Now().Add(-6*24*time.Hour), map[string]string{"spark-dd44": "young"})
	return dir
}

func archive(t *testing.T, stores buckets, use func(*agent), args ...string) (ran, archiveResult) {
	t.Helper()
	if use == nil {
		use = stores.use
	}
	r := runAgent(t, use, append([]string{"archive", "-o", "json"}, args...)...)
	var got archiveResult
	if r.out != "" {
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
	}
	return r, got
}

func TestArchiveByTheConfiguration(t *testing.T) {
	logs, stores := eventLogs(t), buckets{"b-archives": {}}
	config := configFile(t, "/mnt/checkpoints", logs)
	r, got := archive(t, stores, nil, "--config", config, "--dry-run")
	if r.code != 0 || len(got.Archived) != 2 || len(stores["b-archives"].Keys()) != 0 || len(contentOf(t, logs)) != 6 {
		t.Fatalf("dry run: code %d, %+v: %s", r.code, got, r.errOut)
	}
	var mu sync.Mutex
	classes := map[string]bool{}
	use := func(a *agent) {
		stores.use(a)
		inner := a.open
		a.open = func(o objectstore.Options) (objectstore.Store, error) {
			mu.Lock()
			defer mu.Unlock()
			classes[o.StorageClass] = true
			return inner(o)
		}
	}
	r, got = archive(t, stores, use, "--config", config)
	if r.code != 0 || len(got.Archived) != 2 || len(got.Kept) != 2 || got.StorageClass != "GLACIER" {
		t.Fatalf("code %d, %+v: %s", r.code, got, r.errOut)
	}
	if got.Kept[0] != (keptLog{"eventlog_v2_spark-cc33", "in progress"}) || got.Kept[1] != (keptLog{"spark-dd44", "too young"}) {
		t.Errorf("kept are %+v", got.Kept)
	}
	if !classes["GLACIER"] || !classes[""] || len(classes) != 2 {
		t.Errorf("wrote with the classes %v, want GLACIER for the logs and the bucket's for the records", classes)
	}
	if left := contentOf(t, logs); len(left) != 3 || left["spark-dd44"] != "young" || left["eventlog_v2_spark-cc33/events_1_spark-cc33"] != "events of cc" {
		t.Errorf("left are %v", left)
	}
	keys := strings.Join(stores["b-archives"].Keys(), "\n")
	for _, want := range []string{"sparkpipeline/shop/clicks-1/eventlogs/spark-aa11", "sparkpipeline/shop/clicks-1/eventlogs/eventlog_v2_spark-bb22/events_1_spark-bb22"} {
		if !strings.Contains(keys, want) {
			t.Errorf("the bucket lacks %s:\n%s", want, keys)
		}
	}
}

func TestOneBadLogDoesNotKeepTheOthers(t *testing.T) {
	logs, stores := eventLogs(t), buckets{"b-archives": {}}
	line := []string{"--logs", logs, "--bucket", "b-archives", "--region", "x", "--older-than", "24h"}
	if r, _ := archive(t, stores, nil, line...); r.code != 0 {
		t.Fatal(r.errOut)
	}
	// A log of the same name with other bytes comes back, beside a new one.
	write(t, logs, time.Now().Add(-48*time.Hour), map[string]string{"spark-aa11": "other events", "spark-ee55": "new"})
	r, got := archive(t, stores, nil, line...)
	if r.code != CodeFailed || len(got.Archived) != 1 || got.Archived[0].Name != "spark-ee55" || !strings.Contains(r.errOut, "spark-aa11: the archive holds another log") {
		t.Errorf("code %d, %+v: %s", r.code, got, r.errOut)
	}
	if _, err := os.Stat(filepath.Join(logs, "spark-aa11")); err != nil {
		t.Errorf("the log that was not archived is gone: %v", err)
	}
}

func TestArchiveStopsWhenTheStoreRefuses(t *testing.T) {
	logs, puts := eventLogs(t), 0
	store := &objectstoretest.Memory{Before: func(o objectstoretest.Operation) error {
		if o.Name == "Put" {
			puts++
			return &objectstore.Error{Kind: objectstore.KindAccessDenied, Action: "s3:PutObject", Err: errors.New("denied")}
		}
		return nil
	}}
	r, got := archive(t, buckets{"b-archives": store}, nil, "--config", configFile(t, "/mnt/checkpoints", logs))
	if r.code != CodeAccessDenied || puts != 1 || len(got.Archived) != 0 || len(contentOf(t, logs)) != 6 {
		t.Errorf("code %d after %d requests, %+v: %s", r.code, puts, got, r.errOut)
	}
}

func TestArchiveNeedsToKnow(t *testing.T) {
	for line, says := range map[string]string{
		"":                                    "set --bucket",
		"--bucket b-archives":                 "set --logs",
		"--bucket b-archives --logs /nowhere": "--older-than is 0s",
	} {
		r, _ := archive(t, buckets{}, nil, strings.Fields(line)...)
		if r.code != CodeUsage || !strings.Contains(r.errOut, says) {
			t.Errorf("archive %s: code %d, %s", line, r.code, r.errOut)
		}
	}
}

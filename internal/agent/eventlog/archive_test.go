// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

var (
	now = time.Date(2026, 5, 20, 2, 0, 0, 0, time.UTC)
	old = now.Add(-8 * 24 * time.Hour)
)

const week = 7 * 24 * time.Hour

const (
	finished = "eventlog_v2_spark-aa11"
	running  = "eventlog_v2_spark-bb22"
	single   = "spark-cc33.zstd"
)

// history is a directory with one log of each kind, all of them old.
func history() map[string]string {
	return map[string]string{
		finished + "/appstatus_spark-aa11":           "",
		finished + "/.appstatus_spark-aa11.crc":      "crc",
		finished + "/events_1_spark-aa11.zstd":       "first events",
		finished + "/events_2_spark-aa11.zstd":       "second events",
		running + "/appstatus_spark-bb22.inprogress": "",
		running + "/events_1_spark-bb22.zstd":        "events",
		"eventlog_v2_spark-dd44/events_1_spark-dd44": "without a status",
		single:                          "all events",
		"." + single + ".crc":           "crc",
		"spark-ee55.inprogress":         "live",
		"spark-ff66":                    "of the run before",
		"spark-ff66.inprogress":         "of this run",
		"README.txt":                    "of people",
		"backup/eventlog_v2_spark-zz/x": "of people too",
		"lost+found/x":                  "",
	}
}

func tree(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644), os.Chtimes(path, old, old))
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func content(t *testing.T, dir *os.Root) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(dir.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(dir.FS(), path)
		found[path] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func scan(t *testing.T, dir *os.Root) map[string]*Log {
	t.Helper()
	logs, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*Log{}
	for i := range logs {
		byName[logs[i].Name] = &logs[i]
	}
	return byName
}

func archiveOf(dir *os.Root, store objectstore.Store) *Archive {
	return &Archive{Dir: dir, Logs: store, Records: store, Prefix: "p/", Now: func() time.Time { return now }}
}

func TestOnlyOldLogsOfFinishedApplicationsAreDue(t *testing.T) {
	dir := tree(t, history())
	got := map[string]string{}
	for name, l := range scan(t, dir) {
		got[name] = l.Due(now, week)
	}
	want := map[string]string{
		finished: "", single: "", running: "in progress", "eventlog_v2_spark-dd44": "not complete",
		"spark-ee55.inprogress": "in progress", "spark-ff66": "in progress", "spark-ff66.inprogress": "in progress",
		"README.txt": "not an event log", "backup": "not an event log",
	}
	if !maps.Equal(got, want) {
		t.Errorf("due are %v, want %v", got, want)
	}
	// One young file is enough for the whole application.
	young := now.Add(-week + time.Second)
	if err := dir.Chtimes(finished+"/events_2_spark-aa11.zstd", young, young); err != nil {
		t.Fatal(err)
	}
	if reason := scan(t, dir)[finished].Due(now, week); reason != "too young" {
		t.Errorf("a log with a young file is %q", reason)
	}
}

func TestALinkIsNotFollowed(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "appstatus_x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"eventlog_v2_x/events_1_x": "x", "eventlog_v2_x/appstatus_x": ""})
	err := errors.Join(os.Symlink(outside, filepath.Join(dir.Name(), "eventlog_v2_y")), os.Symlink("/etc/passwd", filepath.Join(dir.Name(), "eventlog_v2_x", "events_2_x")))
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range scan(t, dir) {
		if l.Reason != ReasonUnknown {
			t.Errorf("%s with a link is %q", name, l.Reason)
		}
	}
}

func TestMoveTakesTheWholeApplicationAndNothingElse(t *testing.T) {
	dir, store := tree(t, history()), &objectstoretest.Memory{}
	a, logs := archiveOf(dir, store), scan(t, dir)
	for _, name := range []string{finished, single} {
		if err := a.Move(t.Context(), logs[name]); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"p/archived/" + finished + ".json", "p/archived/" + single + ".json",
		"p/eventlogs/" + finished + "/appstatus_spark-aa11", "p/eventlogs/" + finished + "/events_1_spark-aa11.zstd",
		"p/eventlogs/" + finished + "/events_2_spark-aa11.zstd", "p/eventlogs/" + single,
	}
	if keys := slices.Sorted(slices.Values(store.Keys())); !slices.Equal(keys, want) {
		t.Errorf("the bucket holds %q, want %q", keys, want)
	}
	left := history()
	maps.DeleteFunc(left, func(name, _ string) bool { return strings.HasPrefix(name, finished) || strings.Contains(name, single) })
	if got := content(t, dir); !maps.Equal(got, left) {
		t.Errorf("left are %v, want %v", got, left)
	}
	if err := a.Move(t.Context(), logs[running]); err == nil {
		t.Error("a log in progress was archived")
	}
}

// stopAt fails the n-th operation of the store, counted from 1.
func stopAt(n int) (*objectstoretest.Memory, *int) {
	count := 0
	return &objectstoretest.Memory{Before: func(objectstoretest.Operation) error {
		if count++; count == n {
			return errors.New("crash")
		}
		return nil
	}}, &count
}

// Whatever request fails, the log stays whole until the bucket has all of it, and
// the next run finishes.
func TestACrashAtAnyStepLosesNothing(t *testing.T) {
	for n := 1; ; n++ {
		dir := tree(t, history())
		store, count := stopAt(n)
		a := archiveOf(dir, store)
		err := a.Move(t.Context(), scan(t, dir)[finished])
		if *count < n {
			if err != nil || n < 8 {
				t.Errorf("after %d operations: %v", *count, err)
			}
			return
		}
		if err == nil {
			t.Fatalf("operation %d failed unnoticed", n)
		}
		if got := content(t, dir); !maps.Equal(got, history()) {
			t.Fatalf("after a crash at operation %d: %v", n, got)
		}
		if err := a.Move(t.Context(), scan(t, dir)[finished]); err != nil {
			t.Fatalf("the run after a crash at operation %d: %v", n, err)
		}
		if _, err := dir.Lstat(finished); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the run after a crash at operation %d left the log", n)
		}
	}
}

func TestALogThatIsNotWellInTheBucketStays(t *testing.T) {
	key := "p/eventlogs/" + finished + "/events_1_spark-aa11.zstd"
	for title, harm := range map[string]func(dir *os.Root, store *objectstoretest.Memory, o objectstoretest.Operation){
		"cut off in the store": func(_ *os.Root, s *objectstoretest.Memory, _ objectstoretest.Operation) {
			s.Change(key, func(b []byte) []byte { return b[:3] })
		},
		"overwritten in the store": func(_ *os.Root, s *objectstoretest.Memory, _ objectstoretest.Operation) {
			if _, err := s.Put(t.Context(), key, strings.NewReader("FIRST EVENTS"), 12, objectstore.PutOptions{}); err != nil {
				t.Error(err)
			}
		},
		"written to meanwhile": func(dir *os.Root, _ *objectstoretest.Memory, _ objectstoretest.Operation) {
			if err := dir.WriteFile(finished+"/events_2_spark-aa11.zstd", []byte("more"), 0o644); err != nil {
				t.Error(err)
			}
		},
		"started again meanwhile": func(dir *os.Root, _ *objectstoretest.Memory, _ objectstoretest.Operation) {
			if err := dir.WriteFile(finished+"/events_3_spark-aa11.zstd", nil, 0o644); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(title, func(t *testing.T) {
			dir, store := tree(t, history()), &objectstoretest.Memory{}
			harmed := false
			store.Before = func(o objectstoretest.Operation) error {
				if o.Name == "Head" && !harmed {
					harmed = true
					harm(dir, store, o)
				}
				return nil
			}
			err := archiveOf(dir, store).Move(t.Context(), scan(t, dir)[finished])
			if err == nil || !strings.Contains(err.Error(), "stays") {
				t.Errorf("error is %v, want one that says that the log stays", err)
			}
			if _, err := dir.Lstat(finished + "/events_1_spark-aa11.zstd"); err != nil {
				t.Errorf("the log was removed: %v", err)
			}
			if slices.Contains(store.Keys(), "p/archived/"+finished+".json") {
				t.Error("a record says that it is archived")
			}
		})
	}
}

func TestAnotherLogOfTheSameNameIsNotOverwritten(t *testing.T) {
	store := &objectstoretest.Memory{}
	first := tree(t, history())
	if err := archiveOf(first, store).Move(t.Context(), scan(t, first)[single]); err != nil {
		t.Fatal(err)
	}
	other := tree(t, map[string]string{single: "all EVENTS"})
	err := archiveOf(other, store).Move(t.Context(), scan(t, other)[single])
	if !errors.Is(err, ErrDiffers) {
		t.Errorf("error is %v, want ErrDiffers", err)
	}
	// The same log again, as after a crash before it was removed, only goes.
	again := tree(t, map[string]string{single: "all events"})
	store.Before = func(o objectstoretest.Operation) error {
		if o.Name == "Put" {
			return errors.New("sent again")
		}
		return nil
	}
	if err := archiveOf(again, store).Move(t.Context(), scan(t, again)[single]); err != nil {
		t.Error(err)
	}
	if got := content(t, again); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
}

func TestSweepFinishesARemoval(t *testing.T) {
	dir := tree(t, map[string]string{removing + finished + "/events_2": "x", removing + single: "y", "." + single + ".crc": "crc", running + "/events_1_x": "z"})
	if len(scan(t, dir)) != 1 {
		t.Error("what is being removed is taken for a log")
	}
	if err := archiveOf(dir, nil).Sweep(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, dir); !maps.Equal(got, map[string]string{running + "/events_1_x": "z"}) {
		t.Errorf("left are %v", got)
	}
}

func TestTheRecordSaysWhatIsInTheArchive(t *testing.T) {
	dir, store := tree(t, history()), &objectstoretest.Memory{}
	if err := archiveOf(dir, store).Move(t.Context(), scan(t, dir)[single]); err != nil {
		t.Fatal(err)
	}
	var record Record
	store.Change("p/archived/"+single+".json", func(body []byte) []byte {
		if err := json.Unmarshal(body, &record); err != nil {
			t.Error(err)
		}
		return body
	})
	if len(record.Files) != 1 || record.FormatVersion != 1 || record.Name != single || !record.ArchivedAt.Equal(now) {
		t.Fatalf("record is %+v", record)
	}
	const sum = "0621ebbcc38c019689942bf6a91a63767e72547f8aedabee1b78987d1d789313"
	if f := record.Files[0]; f.Path != single || f.Size != 10 || f.SHA256 != sum || !f.ModTime.Equal(old) || f.ETag == "" {
		t.Errorf("file is %+v", f)
	}
}

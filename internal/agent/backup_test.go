// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// mount is a checkpoint volume with two roots of real Spark, their last committed
// batches are 5 and 4.
func mount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sparkRoot(t, "hdfs-41", filepath.Join(dir, "orders"))
	sparkRoot(t, "rocksdb-41", filepath.Join(dir, "deep", "returns"))
	write(t, dir, time.Now(), map[string]string{"lost+found/x": "", "notes.txt": "of people"})
	return dir
}

func backUp(t *testing.T, stores buckets, args ...string) (ran, backupResult) {
	t.Helper()
	r := runAgent(t, stores.use, append([]string{"backup", "-o", "json"}, args...)...)
	var got backupResult
	if r.out != "" {
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
	}
	return r, got
}

func expectRoots(t *testing.T, r ran, got backupResult, want string) {
	t.Helper()
	if text := batches(got.Point.Roots); r.code != 0 || text != want {
		t.Fatalf("code %d, backed up %q, want %q: %s", r.code, text, want, r.errOut)
	}
}

func TestBackupTakesAllRootsAndTheyComeBack(t *testing.T) {
	root := mount(t)
	config := configFile(t, root, "/mnt/logs")
	stores := buckets{"b-backups": {}}
	r, got := backUp(t, stores, "--config", config)
	expectRoots(t, r, got, "deep/returns=4 orders=5")
	if got.Point.State != "Verified" || got.Point.Roots[1].Provider != "hdfs" || got.Point.Roots[0].Provider != "rocksdb" ||
		got.Point.Roots[1].QueryID != "99e24cd2-c458-472a-ac36-0986b9a6cd86" || got.Point.Roots[1].SparkVersion != "4.1.1" ||
		got.Point.Roots[1].Location != filepath.Join(root, "orders") {
		t.Errorf("the point is %+v", got.Point)
	}
	if got.Pruned == nil || got.Pruned.NewestVerified != got.Point.ID {
		t.Errorf("the retention was not applied: %+v", got.Pruned)
	}
	r, again := backUp(t, stores, "--config", config)
	expectRoots(t, r, again, "deep/returns=4 orders=5")
	if again.Point.SentFiles != 0 || again.Point.Base != got.Point.ID {
		t.Errorf("the second run sent %d files on the base of %q", again.Point.SentFiles, again.Point.Base)
	}

	target := filepath.Join(t.TempDir(), "restored")
	if r := runAgent(t, stores.use, "restore", target, "--config", config); r.code != 0 {
		t.Fatalf("restore: code %d, %s", r.code, r.errOut)
	}
	before, restored := contentOf(t, root), contentOf(t, target)
	for name, content := range restored {
		if before[name] != content {
			t.Errorf("%s has other bytes than before", name)
		}
	}
	if int64(len(restored)) != again.Point.Files || len(restored) < 30 {
		t.Errorf("restored %d files of %d", len(restored), again.Point.Files)
	}
	for _, name := range []string{"orders", "deep/returns"} {
		src, err := checkpoint.OpenDir(filepath.Join(target, name))
		if err != nil {
			t.Fatal(err)
		}
		report, err := checkpoint.Verify(t.Context(), src, checkpoint.Options{})
		if err != nil || !report.Healthy || report.LastCommit == nil || src.Close() != nil {
			t.Errorf("restored root %s: %+v, %v", name, report, err)
		}
	}
}

func TestBackupOfARootInABucket(t *testing.T) {
	dir := t.TempDir()
	sparkRoot(t, "hdfs-41", dir)
	state := &objectstoretest.Memory{}
	for name, content := range contentOf(t, dir) {
		if _, err := state.Put(t.Context(), "apps/orders/"+name, strings.NewReader(content), int64(len(content)), putOptions); err != nil {
			t.Fatal(err)
		}
	}
	stores := buckets{"b-backups": {}, "b-state": state}
	line := append([]string{"--root", "s3a://b-state/apps", "--owner", "0b5c"}, laptop...)
	r, got := backUp(t, stores, line...)
	expectRoots(t, r, got, "orders=5")
	if got.Point.Roots[0].Location != "s3a://b-state/apps/orders" {
		t.Errorf("location is %q", got.Point.Roots[0].Location)
	}
	r, got = backUp(t, stores, line...)
	expectRoots(t, r, got, "orders=5")
	if got.Point.SentFiles != 0 {
		t.Errorf("the second run sent %d files", got.Point.SentFiles)
	}
}

func TestBackupPassesOverABatchThatCannotBeRestored(t *testing.T) {
	root := mount(t)
	if err := os.Remove(filepath.Join(root, "orders/state/0/0/6.delta")); err != nil {
		t.Fatal(err)
	}
	r, got := backUp(t, buckets{"b-backups": {}}, "--config", configFile(t, root, "/mnt/logs"))
	expectRoots(t, r, got, "deep/returns=4 orders=4")
	if skipped := got.Skipped["orders"]; len(skipped) != 1 || skipped[0] != 5 {
		t.Errorf("skipped %v, want batch 5 of orders", got.Skipped)
	}
}

func TestQueriesThatNeverRanAreLeftOut(t *testing.T) {
	root := mount(t)
	write(t, root, time.Now(), map[string]string{"young/metadata": `{"id":"b"}`, "young/offsets/0": "v1\n{}\n{}"})
	line := append([]string{"--root", root, "--owner", "0b5c", "--query", "orders", "--query", "young", "--query", "never"}, laptop...)
	r, got := backUp(t, buckets{"b-backups": {}}, line...)
	expectRoots(t, r, got, "orders=5")
	if got.Absent["young"] != "no batch is committed yet" || got.Absent["never"] != "it does not exist" {
		t.Errorf("absent are %v", got.Absent)
	}
}

// A root that was emptied by accident must not vanish from the points quietly.
func TestARootOfTheNewestPointMustBeThere(t *testing.T) {
	for title, lose := range map[string]func(root string) error{
		"gone":           func(root string) error { return os.RemoveAll(filepath.Join(root, "orders")) },
		"lost its state": func(root string) error { return os.RemoveAll(filepath.Join(root, "orders", "state")) },
		"emptied":        func(root string) error { return os.RemoveAll(filepath.Join(root, "orders", "commits")) },
	} {
		t.Run(title, func(t *testing.T) {
			root := mount(t)
			config := configFile(t, root, "/mnt/logs")
			stores := buckets{"b-backups": {}}
			r, got := backUp(t, stores, "--config", config)
			expectRoots(t, r, got, "deep/returns=4 orders=5")
			if err := lose(root); err != nil {
				t.Fatal(err)
			}
			r, _ = backUp(t, stores, "--config", config)
			if r.code != CodeFinding || !strings.Contains(r.errOut, "orders is in the newest point") {
				t.Errorf("code %d: %s", r.code, r.errOut)
			}
			r, got = backUp(t, stores, "--config", config, "--without", "orders")
			if r.code != 0 || !strings.HasPrefix(batches(got.Point.Roots), "deep/returns=4") {
				t.Errorf("without it: code %d, %+v: %s", r.code, got.Point.Roots, r.errOut)
			}
		})
	}
}

func TestBackupSaysWhatIsWrongWithTheRoot(t *testing.T) {
	for title, test := range map[string]struct {
		make func(dir string) error
		code int
		says string
	}{
		"empty":            {func(string) error { return nil }, CodeEmptyRoot, "is empty: there is no query root"},
		"fresh volume":     {func(dir string) error { return os.Mkdir(filepath.Join(dir, "lost+found"), 0o700) }, CodeEmptyRoot, "is empty"},
		"not there":        {os.Remove, CodeNotCheckpoint, "no such file or directory"},
		"not a checkpoint": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a.csv"), nil, 0o644) }, CodeNotCheckpoint, "holds no query root"},
		"nested": {func(dir string) error {
			return os.CopyFS(filepath.Join(dir, "outer", "inner", "offsets"), os.DirFS(filepath.Join(dir, "outer", "offsets")))
		}, CodeNestedRoots, `"outer" and "outer/inner" lie in each other`},
		"nothing committed":  {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "outer", "commits")) }, CodeEmptyRoot, "no batch is committed yet"},
		"nothing restorable": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "outer", "state", "0", "1")) }, CodeFinding, "no committed batch of the root is restorable"},
	} {
		t.Run(title, func(t *testing.T) {
			dir := t.TempDir()
			if title == "nested" || strings.HasPrefix(title, "nothing") {
				sparkRoot(t, "hdfs-41", filepath.Join(dir, "outer"))
				write(t, dir, time.Now(), map[string]string{"outer/inner/metadata": "{}"})
			}
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			store := &objectstoretest.Memory{}
			r, _ := backUp(t, buckets{"b-backups": store}, "--config", configFile(t, dir, "/mnt/logs"))
			if r.code != test.code || !strings.Contains(r.errOut, test.says) {
				t.Errorf("code %d, want %d; %s, want %q", r.code, test.code, r.errOut, test.says)
			}
			if strings.Contains(strings.Join(store.Keys(), " "), "/points/") {
				t.Errorf("there is a point: %q", store.Keys())
			}
		})
	}
}

func TestTakingOverIsAskedForAndKeepsTheFormerOwnerOut(t *testing.T) {
	root := mount(t)
	stores := buckets{"b-backups": {}}
	seed(t, stores["b-backups"], backup.Holder{UID: holder.UID, Cluster: "west"}, time.Now().Add(-time.Hour), whole(t, tree(t, sample(4)), "orders", 4))
	config := configFile(t, root, "/mnt/logs")
	r, _ := backUp(t, stores, "--config", config)
	if r.code != CodeTakenOver || !strings.Contains(r.errOut, `cluster "west"`) {
		t.Fatalf("code %d: %s", r.code, r.errOut)
	}
	r, got := backUp(t, stores, "--config", config, "--take-over", "west burned down")
	expectRoots(t, r, got, "deep/returns=4 orders=5")
	if got.Point.Epoch != 2 {
		t.Errorf("epoch is %d, want 2", got.Point.Epoch)
	}
}

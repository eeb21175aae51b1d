// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

func drill(t *testing.T, stores buckets, args ...string) (ran, drillResult) {
	t.Helper()
	r := runAgent(t, stores.use, append([]string{"drill", "-o", "json"}, args...)...)
	var got drillResult
	if r.out != "" {
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
	}
	return r, got
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

func TestDrillMeasuresTheNewestPoint(t *testing.T) {
	root, scratch := mount(t), t.TempDir()
	config := configFile(t, root, "/mnt/logs")
	stores := buckets{"b-backups": {}}
	if r, got := backUp(t, stores, "--config", config); r.code != 0 || got.Point.Files == 0 {
		t.Fatal(r.errOut)
	}
	before := contentOf(t, root)
	r, got := drill(t, stores, "--config", config, "--scratch", scratch, "--objective", "10m")
	if r.code != 0 || got.Batches["orders"] != 5 || got.Batches["deep/returns"] != 4 || got.Files < 30 || got.Bytes == 0 || got.Level != 6 || got.ObjectiveSeconds != 600 {
		t.Fatalf("code %d, %+v: %s", r.code, got, r.errOut)
	}
	if got.RestoreSeconds <= 0 || got.VerifySeconds <= 0 || got.BytesPerSecond <= 0 || got.AgeSeconds <= 0 ||
		got.TotalSeconds < got.RestoreSeconds+got.VerifySeconds-0.001 {
		t.Errorf("the times are %+v", got)
	}
	if left := entries(t, scratch); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	after := contentOf(t, root)
	if len(after) != len(before) {
		t.Errorf("the checkpoint has %d files, and had %d", len(after), len(before))
	}
	if r.last.Command != "drill" || r.last.Result == nil {
		t.Errorf("the termination message is %+v", r.last)
	}
	if r, _ := drill(t, stores, "--config", config, "--scratch", scratch, "--keep"); r.code != 0 || len(entries(t, scratch)) != 1 {
		t.Errorf("--keep: code %d, left %v", r.code, entries(t, scratch))
	}
}

func TestDrillFails(t *testing.T) {
	root := mount(t)
	config := configFile(t, root, "/mnt/logs")
	sound, damaged := buckets{"b-backups": {}}, buckets{"b-backups": {}}
	for _, stores := range []buckets{sound, damaged} {
		if r, _ := backUp(t, stores, "--config", config); r.code != 0 {
			t.Fatal(r.errOut)
		}
	}
	store := damaged["b-backups"]
	for _, key := range store.Keys() {
		if strings.Contains(key, "/objects/") {
			store.Change(key, func(body []byte) []byte { body[len(body)/2] ^= 1; return body })
		}
	}
	link := filepath.Join(t.TempDir(), "elsewhere")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "scratch"), 0o755), os.Symlink(filepath.Join(root, "scratch"), link)); err != nil {
		t.Fatal(err)
	}
	for title, test := range map[string]struct {
		stores buckets
		args   []string
		code   int
		says   string
	}{
		"too slow":                      {sound, []string{"--objective", "1ns"}, CodeTooSlow, "the objective is 1ns"},
		"a damaged point":               {damaged, nil, CodeFinding, ""},
		"no point":                      {buckets{"b-backups": &objectstoretest.Memory{}}, nil, CodeNoPoint, ""},
		"an unknown point":              {sound, []string{"--point", "nobody"}, CodeNoPoint, "nobody is not among the points"},
		"a scratch that is not there":   {sound, []string{"--scratch", "/nowhere/at/all"}, CodeUsage, `--scratch "/nowhere/at/all"`},
		"the checkpoint as scratch":     {sound, []string{"--scratch", root}, CodeUsage, "works apart from the checkpoint"},
		"a scratch in the checkpoint":   {sound, []string{"--scratch", filepath.Join(root, "scratch")}, CodeUsage, "works apart from the checkpoint"},
		"a link into the checkpoint":    {sound, []string{"--scratch", link}, CodeUsage, "works apart from the checkpoint"},
		"a scratch over the checkpoint": {sound, []string{"--scratch", filepath.Dir(root)}, CodeUsage, "works apart from the checkpoint"},
		"no such level":                 {sound, []string{"--level", "0"}, CodeUsage, "--level is 0"},
	} {
		t.Run(title, func(t *testing.T) {
			scratch := t.TempDir()
			r, _ := drill(t, test.stores, append([]string{"--config", config, "--scratch", scratch}, test.args...)...)
			if r.code != test.code || !strings.Contains(r.errOut, test.says) {
				t.Errorf("code %d, want %d; %s, want %q", r.code, test.code, r.errOut, test.says)
			}
			if left := entries(t, scratch); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// A query of transformWithState is judged for the place of the checkpoint, not for the
// scratch directory, so nothing of its point has to be rewritten.
func TestDrillJudgesForThePlaceOfTheCheckpoint(t *testing.T) {
	const at = "state/0/_metadata/v2/0"
	dir := t.TempDir()
	sparkRoot(t, "tws-41", dir)
	made := contentOf(t, dir)
	store := &objectstoretest.Memory{}
	seed(t, store, holder, time.Now(), whole(t, dir, "tws-41", 7))
	for as, rewritten := range map[string]bool{"": false, "/mnt/checkpoints": true} {
		scratch := t.TempDir()
		r, _ := drill(t, buckets{"b-backups": store}, "--config", configFile(t, "/data/cp", "/mnt/logs"), "--scratch", scratch, "--keep", "--as", as)
		if r.code != 0 {
			t.Fatal(r.errOut)
		}
		got := contentOf(t, filepath.Join(scratch, entries(t, scratch)[0], "tws-41"))
		if (got[at] != made[at]) != rewritten || got[at] == "" {
			t.Errorf("as %q: %s is %s", as, at, got[at])
		}
	}
}

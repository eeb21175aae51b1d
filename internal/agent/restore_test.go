// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// threePoints are of batches 7, 8 and 9, an hour apart; the second has another
// root too.
func threePoints(t *testing.T) (*objectstoretest.Memory, [3]string) {
	t.Helper()
	store := &objectstoretest.Memory{}
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	return store, [3]string{
		seed(t, store, holder, at, whole(t, tree(t, sample(7)), "orders", 7)),
		seed(t, store, holder, at.Add(time.Hour), whole(t, tree(t, sample(8)), "orders", 8), whole(t, tree(t, sample(2)), "deep/returns", 2)),
		seed(t, store, holder, at.Add(2*time.Hour), whole(t, tree(t, sample(9)), "orders", 9)),
	}
}

func TestRestoreChoosesThePoint(t *testing.T) {
	store, ids := threePoints(t)
	for choice, want := range map[string]int{
		"":                               2,
		"--at 2026-05-04T13:59:59Z":      1,
		"--at 2026-05-04T14:30:00+02:00": 0,
		"--batch orders=8":               1,
		"--batch orders=7":               0,
		"--batch deep/returns=2":         1,
		"--point " + ids[0]:              0,
		"--root orders --batch orders=8": 1,
		"--batch orders=9 --at 2027-01-01T00:00:00Z": 2,
	} {
		t.Run(choice, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "root")
			line := append([]string{"restore", "-o", "json", target}, laptop...)
			r := runAgent(t, buckets{"b-backups": store}.use, append(line, strings.Fields(choice)...)...)
			var got restoreResult
			if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
				t.Fatalf("code %d: %s%s", r.code, r.out, r.errOut)
			}
			if got.Record.Point != ids[want] || got.Record.State != backup.RestoreComplete {
				t.Errorf("restored %+v, want point %d of %q", got.Record, want, ids)
			}
			expected := map[string]string{}
			for name, content := range sample(7 + want) {
				expected["orders/"+name] = content
			}
			if want == 1 && !strings.Contains(choice, "--root") {
				for name, content := range sample(2) {
					expected["deep/returns/"+name] = content
				}
			}
			if found := contentOf(t, target); !maps.Equal(found, expected) {
				t.Errorf("restored %v, want %v", found, expected)
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	store, ids := threePoints(t)
	full := tree(t, map[string]string{"precious": "x"})
	empty := filepath.Join(t.TempDir(), "root")
	for title, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a target with files":      {[]string{full}, CodeNotEmpty, `it holds "precious"`},
		"no target":                {nil, CodeUsage, "accepts 1 arg(s)"},
		"an unknown point":         {[]string{empty, "--point", strings.Replace(ids[0], "2026", "2025", 1)}, CodeNoPoint, "there is no point"},
		"a point and a time":       {[]string{empty, "--point", ids[0], "--at", "2026-05-04T13:00:00Z"}, CodeUsage, "not allowed beside it"},
		"a time without a date":    {[]string{empty, "--at", "13:00"}, CodeUsage, `--at is "13:00"`},
		"a batch of no number":     {[]string{empty, "--batch", "orders=x"}, CodeUsage, `--batch is "orders=x"`},
		"a batch of which root":    {[]string{empty, "--batch", "8"}, CodeUsage, "several query roots: deep/returns, orders"},
		"a time before all":        {[]string{empty, "--at", "2026-05-04T11:00:00Z"}, CodeNoPoint, "is too new"},
		"a batch before all":       {[]string{empty, "--batch", "orders=1"}, CodeNoPoint, "has batch"},
		"a root that is not there": {[]string{empty, "--root", "nobody"}, CodeNoPoint, `"nobody"`},
	} {
		t.Run(title, func(t *testing.T) {
			line := append([]string{"restore"}, laptop...)
			r := runAgent(t, buckets{"b-backups": store}.use, append(line, test.args...)...)
			if r.code != test.code || !strings.Contains(r.errOut, test.says) {
				t.Errorf("code %d, want %d; %s, want %q", r.code, test.code, r.errOut, test.says)
			}
		})
	}
	if found := contentOf(t, full); len(found) != 1 || found["precious"] != "x" {
		t.Errorf("the target with files holds %v", found)
	}
}

// A run that was cut off goes on with its own point, though there is a newer one.
func TestRestoreGoesOnWhereItStopped(t *testing.T) {
	store, ids := threePoints(t)
	target := filepath.Join(t.TempDir(), "root")
	interrupted := errors.New("connection lost")
	store.Before = func(o objectstoretest.Operation) error {
		if o.Name == "Get" && strings.Contains(o.Key, "/objects/") {
			return &objectstore.Error{Kind: objectstore.KindNetwork, Action: "s3:GetObject", Err: interrupted}
		}
		return nil
	}
	line := append([]string{"restore", target}, laptop...)
	r := runAgent(t, buckets{"b-backups": store}.use, append(line, "--point", ids[1])...)
	if r.code != CodeUnreachable {
		t.Fatalf("code %d: %s", r.code, r.errOut)
	}
	store.Before = nil
	r = runAgent(t, buckets{"b-backups": store}.use, line...)
	record, err := backup.ReadRestoreRecord(t.Context(), nil, target)
	if r.code != 0 || err != nil || record.Point != ids[1] || record.State != backup.RestoreComplete {
		t.Errorf("code %d, record %+v, %v: %s", r.code, record, err, r.errOut)
	}
}

func TestRestoreOfADamagedPointIsAFinding(t *testing.T) {
	store, ids := threePoints(t)
	for _, key := range store.Keys() {
		if strings.Contains(key, "/objects/") {
			store.Change(key, func(body []byte) []byte { body[len(body)/2] ^= 1; return body })
		}
	}
	target := filepath.Join(t.TempDir(), "root")
	line := append([]string{"restore", target, "--point", ids[0]}, laptop...)
	r := runAgent(t, buckets{"b-backups": store}.use, line...)
	if r.code != CodeFinding || !strings.Contains(r.errOut, "damaged") {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
	if record, err := backup.ReadRestoreRecord(t.Context(), nil, target); err == nil && record != nil && record.State == backup.RestoreComplete {
		t.Error("what is damaged was called complete")
	}
}

func TestASignalStopsARestore(t *testing.T) {
	store, _ := threePoints(t)
	ctx, cancel := context.WithCancel(t.Context())
	store.Before = func(o objectstoretest.Operation) error {
		cancel()
		return ctx.Err()
	}
	line := append([]string{"restore", filepath.Join(t.TempDir(), "root")}, laptop...)
	r := runAgentContext(t, ctx, buckets{"b-backups": store}.use, line...)
	if r.code != CodeInterrupted || !strings.Contains(r.errOut, "restore was stopped by a signal") {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
}

// What was damaged before it was backed up has the bytes of the point, and yet
// must not be called complete.
func TestRestoreOfARootThatWouldNotStartStaysIncomplete(t *testing.T) {
	dir := t.TempDir()
	sparkRoot(t, "hdfs-41", dir)
	for _, name := range []string{"state/0/1/6.delta", "state/0/1/.6.delta.crc"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	store := &objectstoretest.Memory{}
	seed(t, store, holder, time.Now(), whole(t, dir, ".", 5))
	target := filepath.Join(t.TempDir(), "root")
	line := append([]string{"restore", target}, laptop...)
	r := runAgent(t, buckets{"b-backups": store}.use, line...)
	if r.code != CodeFinding || !strings.Contains(r.errOut, "query root . would not start: state/0/1/6.delta") {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
	record, err := backup.ReadRestoreRecord(t.Context(), nil, target)
	if err != nil || record.State != backup.RestoreIncomplete {
		t.Errorf("record is %+v, %v", record, err)
	}
}

// Schema files of transformWithState are recorded by absolute path: such a root
// starts only where its files say that it is.
func TestRestoreMovesARootToWhereItWillBeUsed(t *testing.T) {
	const at = "state/0/_metadata/v2/0"
	for _, test := range []struct {
		name  string
		batch int64
	}{{"tws-41", 7}, {"tws-43", 7}, {"join-v3-43", 3}} {
		name, dir := test.name, t.TempDir()
		sparkRoot(t, name, dir)
		made := contentOf(t, dir)
		store := &objectstoretest.Memory{}
		seed(t, store, holder, time.Now(), whole(t, dir, "q", test.batch))
		store.Before = func(o objectstoretest.Operation) error {
			if o.Name == "Put" || o.Name == "Delete" {
				t.Errorf("%s: the backup was changed: %s %s", name, o.Name, o.Key)
			}
			return nil
		}
		for _, as := range []string{"", "/mnt/checkpoints", "s3a://b-state/apps", "/data/cp"} {
			target := filepath.Join(t.TempDir(), "root")
			line := append([]string{"restore", target, "-o", "json", "--as", as}, laptop...)
			r := runAgent(t, buckets{"b-backups": store}.use, line...)
			if r.code != CodeOK {
				t.Errorf("%s as %q: code %d: %s", name, as, r.code, r.errOut)
				continue
			}
			place := first(as, target) + "/q"
			if !strings.Contains(place, "://") {
				place = "file:" + place
			}
			got := contentOf(t, filepath.Join(target, "q"))
			want := strings.ReplaceAll(made[at], "file:/data/cp/"+name+"/", place+"/")
			if got[at] != want {
				t.Errorf("%s as %q: metadata is %s, want %s", name, as, got[at], want)
			}
			if _, there := got["state/0/_metadata/v2/.0.crc"]; there {
				t.Errorf("%s as %q: the checksum of the old content came back", name, as)
			}
			var result restoreResult
			if err := json.Unmarshal([]byte(r.out), &result); err != nil || !slices.Equal(result.Record.Rewritten, []string{"q/" + at}) {
				t.Errorf("%s as %q: record names %q as rewritten, %v", name, as, result.Record.Rewritten, err)
			}
			if again := runAgent(t, buckets{"b-backups": store}.use, line...); again.code != CodeOK {
				t.Errorf("%s as %q: a second run: code %d: %s", name, as, again.code, again.errOut)
			}
		}
	}
}

// Somebody who restores for one place and runs it again for another must not be told
// that all is well.
func TestARestoredRootIsNotMovedByASecondRun(t *testing.T) {
	store, _ := threePoints(t)
	target := filepath.Join(t.TempDir(), "root")
	line := append([]string{"restore", target}, laptop...)
	for _, test := range []struct {
		as   string
		code int
		says string
	}{
		{"/mnt/a", CodeOK, ""},
		{"/mnt/a", CodeOK, ""},
		{"/mnt/b", CodeNotEmpty, `restored for use at "/mnt/a"`},
		{"mnt/b", CodeUsage, `--as is "mnt/b"`},
	} {
		r := runAgent(t, buckets{"b-backups": store}.use, append(line, "--as", test.as)...)
		if r.code != test.code || !strings.Contains(r.errOut, test.says) {
			t.Errorf("as %s: code %d, want %d: %s", test.as, r.code, test.code, r.errOut)
		}
	}
}

func TestRestoreToAPrefix(t *testing.T) {
	const at = "state/0/_metadata/v2/0"
	dir := t.TempDir()
	sparkRoot(t, "tws-41", dir)
	store, state := &objectstoretest.Memory{}, &objectstoretest.Memory{}
	seed(t, store, holder, time.Now(), whole(t, dir, "q", 7))
	stores := buckets{"b-backups": store, "b-state": state}
	for _, test := range []struct{ target, as, place string }{
		{"s3://b-state/apps", "", "s3a://b-state/apps/q/"},
		{"s3a://b-state/other/", "s3a://elsewhere/x", "s3a://elsewhere/x/q/"},
		{"s3a://b-backups/checkpoints", "", "s3a://b-backups/checkpoints/q/"},
	} {
		line := append([]string{"restore", test.target, "--as", test.as}, laptop...)
		r := runAgent(t, stores.use, line...)
		if r.code != CodeOK {
			t.Errorf("%s: code %d: %s", test.target, r.code, r.errOut)
			continue
		}
		bucket, below, _ := splitLocation(test.target)
		got := readObject(t, stores[bucket], below+"q/"+at)
		if !strings.Contains(got, `["`+test.place+`state/0/_stateSchema/default/0_`) {
			t.Errorf("%s: metadata is %s", test.target, got)
		}
		if keys := strings.Join(stores[bucket].Keys(), "\n"); strings.Contains(keys, below+"q/state/0/_metadata/v2/.0.crc") {
			t.Errorf("%s: the checksum of the old content came back", test.target)
		}
		if r := runAgent(t, stores.use, append([]string{"verify", strings.TrimSuffix(test.target, "/") + "/q", "--region", "x", "--as", test.place}, "-o", "json")...); r.code != CodeOK {
			t.Errorf("verify %s: code %d: %s", test.target, r.code, r.out)
		}
	}
}

func TestRestoreRefusesABadPrefix(t *testing.T) {
	store, _ := threePoints(t)
	state := &objectstoretest.Memory{}
	if _, err := state.Put(t.Context(), "apps/precious", strings.NewReader("x"), 1, putOptions); err != nil {
		t.Fatal(err)
	}
	before := store.Keys()
	for target, want := range map[string]struct {
		code int
		says string
	}{
		"s3://b-state/apps": {CodeNotEmpty, `it holds "precious"`},
		"s3://b-state":      {CodeUsage, "a whole bucket"},
		"s3a://b-state/":    {CodeUsage, "a whole bucket"},
		"s3a://b-backups/" + pointsPrefix + "/new":      {CodeUsage, "which is where the recovery points are"},
		"s3a://b-backups/" + pointsPrefix:               {CodeUsage, "which is where the recovery points are"},
		"s3a://b-backups/" + filepath.Dir(pointsPrefix): {CodeNotEmpty, "it holds"},
	} {
		r := runAgent(t, buckets{"b-backups": store, "b-state": state}.use, append([]string{"restore", target}, laptop...)...)
		if r.code != want.code || !strings.Contains(r.errOut, want.says) {
			t.Errorf("%s: code %d, want %d: %s", target, r.code, want.code, r.errOut)
		}
	}
	if after := store.Keys(); !slices.Equal(before, after) || len(state.Keys()) != 1 {
		t.Errorf("the buckets hold %q and %q", after, state.Keys())
	}
}

func readObject(t *testing.T, store *objectstoretest.Memory, key string) string {
	t.Helper()
	body, _, err := store.Get(t.Context(), key, objectstore.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

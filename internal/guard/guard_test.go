// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/agent/config"
)

// checkpointOf writes a root of a query without state whose newest committed batch
// is given, below a new directory.
func checkpointOf(t *testing.T, root string, newest int) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"metadata": `{"id":"7aeab0d6-f91a-4d05-902c-34d545725a0e"}`}
	for n := range newest + 1 {
		files[fmt.Sprintf("offsets/%d", n)] = fmt.Sprintf("v1\n{\"conf\":{}}\n{\"orders\":{\"0\":%d}}", n)
		files[fmt.Sprintf("commits/%d", n)] = "v1\n{\"nextBatchWatermarkMs\":0}"
	}
	for name, text := range files {
		put(t, dir, filepath.Join(root, name), text)
	}
	return dir
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func guardOn(t *testing.T, dir string) *Guard {
	t.Helper()
	place, err := OpenDirPlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { place.Close() })
	now := time.Unix(1000, 0)
	return &Guard{
		Orders: config.Orders{Pipeline: config.Identity{Namespace: "data", Name: "orders", UID: "u1"}}, Place: place,
		Wait: 10 * time.Second, Poll: 2 * time.Second, Now: func() time.Time { return now },
		Sleep: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil },
	}
}

func TestEveryRefusalOfTheGuard(t *testing.T) {
	owner := func(o Owner) string { data, _ := json.Marshal(o); return string(data) }
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string, g *Guard)
		want   Reason
		says   string
	}{
		"not mounted": {func(_ *testing.T, _ string, g *Guard) { g.Mounted = func() (bool, error) { return false, nil } }, NotMounted, "not a volume"},
		"emptied": {func(t *testing.T, dir string, g *Guard) {
			g.Orders.Roots = map[string]int64{"agg": 3}
			if err := os.RemoveAll(filepath.Join(dir, "agg")); err != nil {
				t.Fatal(err)
			}
		}, Empty, "root agg is empty, though batch 3"},
		"emptied, only metadata left": {func(t *testing.T, dir string, g *Guard) {
			g.Orders.Roots = map[string]int64{"agg": 3}
			for _, name := range []string{"offsets", "commits"} {
				if err := os.RemoveAll(filepath.Join(dir, "agg", name)); err != nil {
					t.Fatal(err)
				}
			}
		}, Empty, "root agg holds no batch"},
		"emptied, which only the checkpoint remembers": {func(t *testing.T, dir string, g *Guard) {
			put(t, dir, OwnerName, owner(Owner{FormatVersion: 1, Namespace: "data", Name: "orders", Roots: map[string]int64{"gone": 7}}))
		}, Empty, "root gone is empty, though batch 7"},
		"older": {func(_ *testing.T, _ string, g *Guard) { g.Orders.Roots = map[string]int64{"agg": 4} }, Older, "is at batch 3, though batch 4"},
		"locked": {func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, "agg/"+LockName, `{"by":"agent rewind","since":"2026-11-24T10:00:00Z"}`)
		}, Locked, "agent rewind"},
		"the place locked":  {func(t *testing.T, dir string, _ *Guard) { put(t, dir, LockName, "") }, Locked, LockName},
		"unfinished rewind": {func(t *testing.T, dir string, _ *Guard) { put(t, dir, "agg/"+RewindName, "{}") }, Unfinished, "rewind"},
		"unfinished restore": {func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, ".sparkpipeline-restore.json", `{"state":"Incomplete"}`)
		}, Unfinished, "restore"},
		"another owner": {func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, OwnerName, owner(Owner{FormatVersion: 1, Namespace: "data", Name: "clicks"}))
		}, OtherOwner, "pipeline data/clicks"},
		"another cluster": {func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, OwnerName, owner(Owner{FormatVersion: 1, Namespace: "data", Name: "orders", Cluster: "west"}))
		}, OtherOwner, "of cluster west"},
		"taken over": {func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, OwnerName, owner(Owner{FormatVersion: 1, Namespace: "data", Name: "orders", Epoch: 2}))
		}, OtherOwner, "epoch 2"},
		"an owner that cannot be read": {func(t *testing.T, dir string, _ *Guard) { put(t, dir, OwnerName, "{") }, OtherOwner, "unknown"},
		"damaged":                      {func(t *testing.T, dir string, _ *Guard) { put(t, dir, "agg/commits/3", "") }, Damaged, "commits/3 is empty"},
		"another submission": {func(_ *testing.T, _ string, g *Guard) {
			g.Others = func(context.Context) ([]string, error) { return []string{"orders-exec-1"}, nil }
		}, OtherRunning, "alive after 10s: orders-exec-1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkpointOf(t, "agg", 3)
			g := guardOn(t, dir)
			tt.change(t, dir, g)
			evidence, err := g.Run(t.Context())
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != tt.want || !strings.Contains(refusal.Message, tt.says) {
				t.Fatalf("%v, want %s: %s", err, tt.want, tt.says)
			}
			if evidence.Reason != tt.want {
				t.Errorf("the evidence says %q", evidence.Reason)
			}
		})
	}
}

func TestAHealthyCheckpointPasses(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string, g *Guard){
		"as it was":          func(_ *testing.T, _ string, g *Guard) { g.Orders.Roots = map[string]int64{"agg": 3} },
		"further than seen":  func(_ *testing.T, _ string, g *Guard) { g.Orders.Roots = map[string]int64{"agg": 1} },
		"declared":           func(_ *testing.T, _ string, g *Guard) { g.Queries = []string{"agg"} },
		"a new query beside": func(_ *testing.T, _ string, g *Guard) { g.Queries = []string{"agg", "raw"} },
		"mounted":            func(_ *testing.T, _ string, g *Guard) { g.Mounted = func() (bool, error) { return true, nil } },
		"a batch in flight": func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, "agg/offsets/4", "v1\n{\"conf\":{}}\n{\"orders\":{\"0\":9}}")
		},
		"restored": func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, ".sparkpipeline-restore.json", `{"state":"Complete"}`)
		},
		"made again, its own": func(t *testing.T, dir string, _ *Guard) {
			put(t, dir, OwnerName, `{"formatVersion":1,"namespace":"data","name":"orders","uid":"u0"}`)
		},
		"it takes over": func(t *testing.T, dir string, g *Guard) {
			put(t, dir, OwnerName, `{"formatVersion":1,"namespace":"x","name":"y","epoch":1}`)
			g.Orders.Epoch = 2
		},
		"loss was accepted": func(t *testing.T, dir string, g *Guard) {
			g.Orders.Reset = true
			g.Orders.Roots = map[string]int64{"agg": 9}
		},
		"damage of level 4": func(t *testing.T, dir string, _ *Guard) { put(t, dir, "agg/state/0/0/9.delta", "x") },
		"others end in time": func(_ *testing.T, _ string, g *Guard) {
			n := 0
			g.Others = func(context.Context) ([]string, error) { n++; return []string{"a", "b", "c"}[min(n, 3):], nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkpointOf(t, "agg", 3)
			g := guardOn(t, dir)
			change(t, dir, g)
			evidence, err := g.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if evidence.Reason != "" || len(evidence.Roots) == 0 || evidence.Roots[0].Path != "agg" || *evidence.Roots[0].LastCommit != 3 {
				t.Errorf("%+v", evidence)
			}
			var owner Owner
			data, err := os.ReadFile(filepath.Join(dir, OwnerName))
			if err == nil {
				err = json.Unmarshal(data, &owner)
			}
			if err != nil || owner.UID != "u1" || owner.Name != "orders" || owner.Epoch != g.Orders.Epoch || owner.Roots["agg"] != 3 {
				t.Errorf("owner %+v, %v", owner, err)
			}
		})
	}
}

func TestANewCheckpointMayBeEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := guardOn(t, dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// From now on the checkpoint itself says whose it is, though not that it held
	// anything.
	g := guardOn(t, dir)
	g.Orders.Pipeline.Name = "clicks"
	if _, err := g.Run(t.Context()); err == nil {
		t.Error("another pipeline may start on it")
	}
}

func TestTheEvidenceIsOfAllRoots(t *testing.T) {
	dir := checkpointOf(t, "agg", 3)
	put(t, dir, "raw/metadata", "{}")
	put(t, dir, "raw/offsets/0", "v1")
	g := guardOn(t, dir)
	g.Orders.Roots = map[string]int64{"agg": 5, "gone": 1}
	evidence, err := g.Run(t.Context())
	if err == nil || len(evidence.Roots) != 3 {
		t.Fatalf("%+v, %v", evidence, err)
	}
	for i, want := range []string{"agg", "gone", "raw"} {
		if evidence.Roots[i].Path != want {
			t.Errorf("root %d is %s, want %s", i, evidence.Roots[i].Path, want)
		}
	}
	if len(evidence.Roots[2].Findings) == 0 {
		t.Error("the damage of raw is not told")
	}
}

func TestWhatCannotBeJudgedIsNoRefusal(t *testing.T) {
	g := guardOn(t, checkpointOf(t, "agg", 3))
	g.Others = func(context.Context) ([]string, error) { return nil, errors.New("no route to host") }
	_, err := g.Run(t.Context())
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) {
		t.Error(err)
	}
}

func TestARootStaysInItsPlace(t *testing.T) {
	g := guardOn(t, checkpointOf(t, "agg", 3))
	for _, p := range []string{"../outside", "/etc", "agg/../../x"} {
		g.Queries = []string{p}
		if _, err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "allowed is a path below") {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestMountPointsAreReadFromMountinfo(t *testing.T) {
	mounts := "22 1 0:20 / / rw - overlay overlay rw\n" +
		"31 22 8:1 /pods/x/volumes/v /mnt/checkpoints rw - ext4 /dev/sda rw\n" +
		"32 22 8:1 /y /mnt/with\\040blank rw - ext4 /dev/sda rw\n"
	for dir, want := range map[string]bool{"/mnt/checkpoints": true, "/mnt/checkpoints/": true, "/mnt": false, "/mnt/with blank": true, "/mnt/checkpoint": false, "/": true} {
		if got, err := mounted(strings.NewReader(mounts), dir); err != nil || got != want {
			t.Errorf("%s: %v, %v", dir, got, err)
		}
	}
}

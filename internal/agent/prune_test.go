// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

func prune(t *testing.T, store *objectstoretest.Memory, args ...string) (ran, pruneResult) {
	t.Helper()
	line := append([]string{"prune", "-o", "json", "--config", configFile(t, "/mnt/checkpoints", "/mnt/logs")}, args...)
	r := runAgent(t, buckets{"b-backups": store}.use, line...)
	var got pruneResult
	if r.out != "" {
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
	}
	return r, got
}

func TestPruneKeepsByTheRetentionOfTheConfiguration(t *testing.T) {
	const day = 24 * time.Hour
	store := &objectstoretest.Memory{}
	orders := whole(t, tree(t, sample(7)), "orders", 7)
	old := seed(t, store, holder, time.Now().Add(-8*day), orders)
	young := seed(t, store, holder, time.Now().Add(-6*day), orders)
	newest := seed(t, store, holder, time.Now().Add(-5*day), orders)

	r, got := prune(t, store, "--dry-run")
	if r.code != 0 || !slices.Equal(got.Removed, []string{old}) || !slices.Equal(got.Kept, []string{young, newest}) || !got.DryRun {
		t.Errorf("dry run: code %d, %+v %s", r.code, got, r.errOut)
	}
	if !slices.Contains(store.Keys(), pointsPrefix+"/0b5c/points/"+old+".json") {
		t.Error("the dry run removed a point")
	}
	r, got = prune(t, store, "--keep-for", "24h")
	if r.code != 0 || !slices.Equal(got.Removed, []string{old, young}) || got.NewestVerified != newest {
		t.Errorf("code %d, %+v %s", r.code, got, r.errOut)
	}
	if keys := strings.Join(store.Keys(), "\n"); strings.Contains(keys, "points/"+old) || !strings.Contains(keys, "points/"+newest) {
		t.Errorf("afterwards there are\n%s", keys)
	}
}

func TestPruneOfANewPipelineIsNoError(t *testing.T) {
	store := &objectstoretest.Memory{}
	r, got := prune(t, store)
	if r.code != 0 || len(got.Removed) != 0 || len(store.Keys()) != 0 {
		t.Errorf("code %d, %+v, left %q: %s", r.code, got, store.Keys(), r.errOut)
	}
}

func TestPruneRefusesWhatBelongsToAnotherCluster(t *testing.T) {
	store := &objectstoretest.Memory{}
	seed(t, store, backup.Holder{UID: holder.UID, Cluster: "west"}, time.Now(), whole(t, tree(t, sample(7)), "orders", 7))
	r, _ := prune(t, store)
	if r.code != CodeTakenOver || !strings.Contains(r.errOut, `cluster "west"`) {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
}

func TestPruneSaysWhatBlocksIt(t *testing.T) {
	store := &objectstoretest.Memory{}
	orders := whole(t, tree(t, sample(7)), "orders", 7)
	bad := seed(t, store, holder, time.Now().Add(-time.Hour), orders)
	seed(t, store, holder, time.Now(), orders)
	store.Change(pointsPrefix+"/0b5c/points/"+bad+".json", func([]byte) []byte { return []byte("{") })
	r, got := prune(t, store)
	if r.code != CodeFinding || !strings.Contains(got.Blocked, bad) || !strings.Contains(r.errOut, "nothing was collected") {
		t.Errorf("code %d, %+v: %s", r.code, got, r.errOut)
	}
}

func TestPruneNeedsARetention(t *testing.T) {
	store := &objectstoretest.Memory{}
	seed(t, store, holder, time.Now(), whole(t, tree(t, sample(7)), "orders", 7))
	r := runAgent(t, buckets{"b-backups": store}.use, append([]string{"prune"}, laptop...)...)
	if r.code != CodeUsage || !strings.Contains(r.errOut, "set --keep-for") {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
}

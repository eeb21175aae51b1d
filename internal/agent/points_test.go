// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

var laptop = []string{"--bucket", "b-backups", "--region", "x", "--prefix", pointsPrefix}

func TestPointsAreListed(t *testing.T) {
	store := &objectstoretest.Memory{}
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	orders := whole(t, tree(t, sample(7)), "orders", 7)
	first := seed(t, store, holder, at, orders)
	second := seed(t, store, holder, at.Add(time.Hour), orders, whole(t, tree(t, sample(3)), "returns", 3))
	third := seed(t, store, holder, at.Add(2*time.Hour), orders)
	store.Change(pointsPrefix+"/0b5c/points/"+third+".json", func([]byte) []byte { return []byte("{") })

	r := runAgent(t, buckets{"b-backups": store}.use, append([]string{"points", "-o", "json"}, laptop...)...)
	var got pointsResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
		t.Fatalf("code %d: %s%s (%v)", r.code, r.out, r.errOut, err)
	}
	if got.Place != "b-backups/"+pointsPrefix || got.NewestVerified != second || got.Owner == nil || got.Owner.Holder != holder {
		t.Errorf("listed %+v", got)
	}
	if len(got.Points) != 3 || got.Points[0].ID != first || got.Points[1].ID != second || got.Points[2].ID != third {
		t.Fatalf("points are %+v", got.Points)
	}
	p := got.Points[1]
	if p.State != "Verified" || !p.StartedAt.Equal(at.Add(time.Hour)) || p.Files != 8 || len(p.Roots) != 2 || p.Roots[1].Batch != 3 || p.Base != first {
		t.Errorf("the second point is %+v", p)
	}
	if p := got.Points[2]; p.State != "Unreadable" || !strings.Contains(p.Problem, "damaged") {
		t.Errorf("the third point is %+v", p)
	}

	text := runAgent(t, buckets{"b-backups": store}.use, append([]string{"points"}, laptop...)...).out
	for _, says := range []string{"POINT ", "2026-05-04T13:00:00Z", "orders=7 returns=3", "Verified", "Unreadable"} {
		if !strings.Contains(text, says) {
			t.Errorf("the table lacks %q:\n%s", says, text)
		}
	}
}

func TestPointsOfAPlaceWithoutAny(t *testing.T) {
	stores := buckets{"b-backups": {}}
	r := runAgent(t, stores.use, append([]string{"points"}, laptop...)...)
	if r.code != CodeNoPoint || !strings.Contains(r.errOut, "nothing was ever backed up below b-backups/"+pointsPrefix) {
		t.Errorf("without an owner: code %d, %s", r.code, r.errOut)
	}
	r = runAgent(t, stores.use, "points", "--config", configFile(t, "/mnt/checkpoints", "/mnt/logs"))
	if r.code != 0 || r.out != "There is no recovery point below b-backups/"+pointsPrefix+".\n" {
		t.Errorf("of a new pipeline: code %d, %s%s", r.code, r.out, r.errOut)
	}
}

func TestSeveralOwnersAreNotGuessed(t *testing.T) {
	store := &objectstoretest.Memory{}
	orders := whole(t, tree(t, sample(7)), "orders", 7)
	seed(t, store, holder, time.Now(), orders)
	other := seed(t, store, backup.Holder{UID: "77"}, time.Now(), orders)
	stores := buckets{"b-backups": store}
	r := runAgent(t, stores.use, append([]string{"points"}, laptop...)...)
	if r.code != CodeUsage || !strings.Contains(r.errOut, "choose one with --owner: 0b5c, 77") {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
	r = runAgent(t, stores.use, append([]string{"points", "--owner", "77"}, laptop...)...)
	if r.code != 0 || !strings.Contains(r.out, other) {
		t.Errorf("code %d: %s%s", r.code, r.out, r.errOut)
	}
}

func TestATableOfManyRootsStaysNarrow(t *testing.T) {
	var roots []rootInfo
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		roots = append(roots, rootInfo{RootInfo: backup.RootInfo{Root: name, Batch: 1}})
	}
	if got := batches(roots); got != "a=1 b=1 c=1 d=1 and 2 more" {
		t.Errorf("batches are %q", got)
	}
}

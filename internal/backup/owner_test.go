// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

func TestFormerOwnerRefusesAfterATakeover(t *testing.T) {
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	plan := whole(tree(t, map[string]string{"f": "x"}), ".", 1)
	m := backUp(t, repo, plan)
	if m.Epoch != 1 {
		t.Errorf("the first point has epoch %d, want 1", m.Epoch)
	}
	heir := Holder{UID: "77aa", Cluster: "west", Name: "clicks"}
	record, err := repo.Takeover(t.Context(), heir, "region is lost")
	if err != nil || record.Epoch != 2 {
		t.Fatalf("takeover gave %+v, %v; want epoch 2", record, err)
	}
	before := strings.Join(store.Keys(), "\n")
	_, err = repo.Backup(t.Context(), BackupOptions{Holder: owner, Plan: plan})
	taken, ok := errors.AsType[*TakenOverError](err)
	if !ok || taken.Current.Epoch != 2 || taken.Current.Holder.Cluster != "west" {
		t.Errorf("backup by the former owner: %v, want it refused by epoch 2", err)
	}
	if _, err := repo.Prune(t.Context(), PruneOptions{Holder: owner, KeepFor: day}); err == nil {
		t.Error("prune by the former owner was not refused")
	}
	if after := strings.Join(store.Keys(), "\n"); before != after {
		t.Errorf("the former owner changed the store:\n%s\nwas\n%s", after, before)
	}
	if m, err := repo.Backup(t.Context(), BackupOptions{Holder: heir, Plan: plan}); err != nil || m.Epoch != 2 {
		t.Errorf("backup by the new owner: %v, %v", m, err)
	}
	if again, err := repo.Takeover(t.Context(), heir, "again"); err != nil || again.Epoch != 2 {
		t.Errorf("taking over one's own gave %+v, %v; want epoch 2 as before", again, err)
	}
	if back, err := repo.Takeover(t.Context(), owner, "fail back"); err != nil || back.Epoch != 3 {
		t.Errorf("taking back gave %+v, %v; want epoch 3", back, err)
	}
}

func TestCopyOfAClusterIsAnotherOwner(t *testing.T) {
	repo := open(t, &objectstoretest.Memory{})
	plan := whole(tree(t, map[string]string{"f": "x"}), ".", 1)
	backUp(t, repo, plan)
	copied := owner
	copied.Cluster = "copy-of-east"
	_, err := repo.Backup(t.Context(), BackupOptions{Holder: copied, Plan: plan})
	if _, ok := errors.AsType[*TakenOverError](err); !ok {
		t.Errorf("backup with the same uid from another cluster: %v, want it refused", err)
	}
}

func TestTakeoverDuringABackupStopsItBeforeTheManifest(t *testing.T) {
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" && strings.Contains(op.Key, "/objects/") {
			store.Before = nil
			_, err := repo.Takeover(t.Context(), Holder{UID: "77aa"}, "")
			return err
		}
		return nil
	}
	_, err := repo.Backup(t.Context(), BackupOptions{Holder: owner, Plan: whole(tree(t, map[string]string{"f": "x"}), ".", 1)})
	if _, ok := errors.AsType[*TakenOverError](err); !ok {
		t.Errorf("error is %v, want it refused", err)
	}
	expectNoPoint(t, store)
}

func TestOnlyOneOfTwoTakeoversWins(t *testing.T) {
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 1))
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" {
			store.Before = nil
			_, err := repo.Takeover(t.Context(), Holder{UID: "first"}, "")
			return err
		}
		return nil
	}
	_, err := repo.Takeover(t.Context(), Holder{UID: "second"}, "")
	taken, ok := errors.AsType[*TakenOverError](err)
	if !ok || taken.Current.Holder.UID != "first" || taken.Current.Epoch != 2 {
		t.Errorf("the slower takeover got %v, want to hear that the first has it", err)
	}
}

func TestStoreThatRefusesConditionsStillHasOwners(t *testing.T) {
	store := &objectstoretest.Memory{}
	conditions := refusing{store}
	repo := open(t, conditions)
	if _, err := repo.Claim(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Claim(t.Context(), Holder{UID: "other"}); err == nil {
		t.Error("a second owner was not refused")
	}
	honoured, err := objectstore.ProbeConditional(t.Context(), conditions, "p/")
	if honoured || err != nil {
		t.Errorf("probe says %v, %v; want that conditions are not honoured", honoured, err)
	}
}

func TestOpenRefusesBadPlaces(t *testing.T) {
	for _, o := range []Options{
		{Prefix: "a/../b", Owner: "u"}, {Prefix: "a//b", Owner: "u"}, {Prefix: "a", Owner: ""},
		{Prefix: "a", Owner: "u/v"}, {Prefix: "a", Owner: ".."},
	} {
		if _, err := Open(&objectstoretest.Memory{}, o); err == nil {
			t.Errorf("prefix %q with owner %q was accepted", o.Prefix, o.Owner)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// objectsBelow reads a prefix without the record of a restore.
func objectsBelow(t *testing.T, store objectstore.Store, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for info, err := range store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := store.Get(t.Context(), info.Key, objectstore.Range{})
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.TrimPrefix(info.Key, prefix); name != RestoreRecordName {
			found[name] = string(content)
		}
	}
	return found
}

func put(t *testing.T, store objectstore.Store, key, content string) {
	t.Helper()
	if _, err := store.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), objectstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestRestoreToAPrefix(t *testing.T) {
	files := sample()
	files["state/large"] = noise(7, smallFile+1)
	files["commits/1"] = "v1\n{}"
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, files), "q", 1))
	into := &objectstoretest.Memory{}
	put(t, into, "apps/", "") // Hadoop's mark of a directory
	put(t, into, "apps/q/", "")
	put(t, into, "apps-of-others/x", "x")
	var order []string
	into.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" {
			order = append(order, op.Key)
		}
		return nil
	}
	repo.concurrency = 1 // the order of writes is theirs
	record, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: "apps", Bucket: into})
	if err != nil || record.State != "Complete" || record.Files != int64(len(files)) {
		t.Fatalf("record is %+v, %v", record, err)
	}
	into.Before = nil
	if got := objectsBelow(t, into, "apps/q/"); got[""] != "" || !maps.Equal(without(got, ""), files) {
		t.Errorf("restored %d objects, want %d with the same content", len(got), len(files))
	}
	// A commit before its state looks as if a second driver had written.
	last := order[len(order)-2:]
	if last[0] != "apps/q/commits/1" || last[1] != "apps/"+RestoreRecordName {
		t.Errorf("wrote %q last, want the commit and the record", last)
	}
	read, err := ReadRestoreRecord(t.Context(), into, "apps")
	if err != nil || read.State != "Complete" || read.Point != m.ID {
		t.Errorf("record in the prefix is %+v, %v", read, err)
	}
}

func without(files map[string]string, name string) map[string]string {
	files = maps.Clone(files)
	delete(files, name)
	return files
}

func TestRestoreRefusesAPrefixThatIsNotEmpty(t *testing.T) {
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 1))
	into := &objectstoretest.Memory{}
	put(t, into, "apps/q/offsets/7", "somebody's")
	_, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: "apps/q", Bucket: into})
	if !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), `"offsets/7"`) {
		t.Errorf("error is %v, want ErrNotEmpty that names offsets/7", err)
	}
	if got := objectsBelow(t, into, ""); !maps.Equal(got, map[string]string{"apps/q/offsets/7": "somebody's"}) {
		t.Errorf("the bucket holds %v", got)
	}
	for _, target := range []string{"", "/", "a/../b"} {
		if _, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target, Bucket: into}); err == nil {
			t.Errorf("target %q was accepted", target)
		}
	}
}

func TestInterruptedRestoreToAPrefixGoesOnWhereItStopped(t *testing.T) {
	files := sample()
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, files), ".", 1))
	into := &objectstoretest.Memory{}
	puts := 0
	into.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Put" {
			if puts++; puts > 20 {
				return errors.New("killed")
			}
		}
		return nil
	}
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: "q", Bucket: into}); err == nil {
		t.Fatal("the restore was not interrupted")
	}
	if record, err := ReadRestoreRecord(t.Context(), into, "q"); err != nil || record.State != "Incomplete" {
		t.Errorf("record is %+v, %v; want Incomplete", record, err)
	}
	into.Before = nil
	// Somebody wrote other bytes of the same length meanwhile.
	for name, content := range objectsBelow(t, into, "q/") {
		if len(content) > 0 {
			into.Change("q/"+name, func(b []byte) []byte { b[0] ^= 1; return b })
			break
		}
	}
	var last Progress
	repo.progress = func(p Progress) { last = p }
	record, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: "q", Bucket: into})
	if err != nil || record.State != "Complete" {
		t.Fatalf("second run: %+v, %v", record, err)
	}
	if last.Files != 47 || last.SentFiles != 47-19+1 {
		t.Errorf("second run wrote %d of %d files, want 29 of 47: 19 were there, one of them changed", last.SentFiles, last.Files)
	}
	if got := objectsBelow(t, into, "q/"); !maps.Equal(got, files) {
		t.Errorf("restored %d objects, want %d with the same content", len(got), len(files))
	}
}

func TestDamageDoesNotReachAPrefix(t *testing.T) {
	files := map[string]string{"offsets/1": "abc", "state/large": noise(1, smallFile+1)}
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	m := backUp(t, repo, whole(tree(t, files), ".", 1))
	for _, key := range objectsOf(store) {
		store.Change(key, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	}
	into := &objectstoretest.Memory{}
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: "q", Bucket: into}); !errors.Is(err, ErrDamaged) {
		t.Errorf("restore: %v, want ErrDamaged", err)
	}
	if got := objectsBelow(t, into, "q/"); len(got) > 0 {
		t.Errorf("the prefix holds %v", got)
	}
}

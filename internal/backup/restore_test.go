// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

func TestRestoreRefusesATargetThatIsNotEmpty(t *testing.T) {
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 1))
	target := tree(t, map[string]string{"offsets/7": "somebody's"})
	_, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target})
	if !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), `"offsets"`) {
		t.Errorf("error is %v, want ErrNotEmpty that names offsets", err)
	}
	expectContent(t, target, map[string]string{"offsets/7": "somebody's"})
}

func TestRestoreToAFreshVolume(t *testing.T) {
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 1))
	target := t.TempDir()
	if err := os.Mkdir(filepath.Join(target, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target}); err != nil {
		t.Errorf("an empty ext4 volume was refused: %v", err)
	}
}

func TestInterruptedRestoreGoesOnWhereItStopped(t *testing.T) {
	files := sample()
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	m := backUp(t, repo, whole(tree(t, files), ".", 1))
	target := t.TempDir()
	gets := 0
	store.Before = func(op objectstoretest.Operation) error {
		if op.Name == "Get" && strings.Contains(op.Key, "/objects/") {
			if gets++; gets > 3 { // the list and two objects
				return errors.New("killed")
			}
		}
		return nil
	}
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target}); err == nil {
		t.Fatal("the restore was not interrupted")
	}
	record, err := ReadRestoreRecord(t.Context(), nil, target)
	if err != nil || record == nil || record.State != "Incomplete" || record.Point != m.ID {
		t.Errorf("record is %+v, %v; want Incomplete", record, err)
	}
	store.Before = nil
	tear(t, target) // half a file, as a crash leaves it
	var last Progress
	repo.progress = func(p Progress) { last = p }
	record, err = repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target})
	if err != nil || record.State != "Complete" {
		t.Fatalf("second run: %+v, %v", record, err)
	}
	if last.SentFiles >= last.Files || last.Files != 47 {
		t.Errorf("second run wrote %d of %d files, want fewer than all 47", last.SentFiles, last.Files)
	}
	expectContent(t, target, files)
}

// tear cuts one restored file in half.
func tear(t *testing.T, dir string) {
	t.Helper()
	for name, content := range contentOf(t, dir) {
		if len(content) > 1000 {
			if err := os.Truncate(filepath.Join(dir, name), int64(len(content)/2)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("nothing was restored before the interruption")
}

func TestRestoreOfTheSamePointIsDoneOnce(t *testing.T) {
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	dir := tree(t, map[string]string{"f": "x"})
	m := backUp(t, repo, whole(dir, ".", 1))
	write(t, dir, "f", "y")
	other := backUp(t, repo, whole(dir, ".", 2))
	target := restore(t, repo, m.ID)
	write(t, target, "f", "written by the query since")
	record, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target})
	if err != nil || record.State != "Complete" {
		t.Errorf("the same restore again: %+v, %v", record, err)
	}
	expectContent(t, target, map[string]string{"f": "written by the query since"})
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: other.ID, Target: target}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("another point to the same place: %v, want ErrNotEmpty", err)
	}
}

func TestRestoreNeverCallsDamageComplete(t *testing.T) {
	files := map[string]string{"offsets/1": "abc", "state/large": noise(1, smallFile+1)}
	for name, damage := range map[string]func([]byte) []byte{
		"a flipped bit":    func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"a shorter object": func(b []byte) []byte { return b[:len(b)-1] },
	} {
		store := &objectstoretest.Memory{}
		repo := open(t, store)
		m := backUp(t, repo, whole(tree(t, files), ".", 1))
		for _, key := range objectsOf(store) {
			t.Run(name+" of "+key[len(key)-110:len(key)-90], func(t *testing.T) {
				var before []byte
				store.Change(key, func(b []byte) []byte { before = bytes.Clone(b); return damage(b) })
				defer store.Change(key, func([]byte) []byte { return before })
				target := t.TempDir()
				_, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target})
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("restore: %v, want ErrDamaged", err)
				}
				if record, err := ReadRestoreRecord(t.Context(), nil, target); err != nil || record.State != "Incomplete" {
					t.Errorf("record is %+v, %v; want Incomplete", record, err)
				}
				if _, err := repo.Verify(t.Context(), m.ID, VerifyOptions{Content: true}); !errors.Is(err, ErrDamaged) {
					t.Errorf("verify with content: %v, want ErrDamaged", err)
				}
			})
		}
	}
}

// forge replaces the list of a point by one that somebody else wrote, with a
// manifest that fits it.
func forge(t *testing.T, store *objectstoretest.Memory, m *Manifest, lines string) {
	t.Helper()
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write([]byte(lines)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(zipped.Bytes())
	prefix := "backups/clicks/" + owner.UID + "/"
	m.Roots[0].List = Reference{Key: "objects/" + hex.EncodeToString(sum[:]) + "-" + m.ID, SHA256: hex.EncodeToString(sum[:]), Size: int64(zipped.Len())}
	if _, err := store.Put(t.Context(), prefix+m.Roots[0].List.Key, bytes.NewReader(zipped.Bytes()), int64(zipped.Len()), objectstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := putRecord(t.Context(), store, prefix+"points/"+m.ID+".json", m, false); err != nil {
		t.Fatal(err)
	}
}

func TestHostileListsDoNotLeaveTheTarget(t *testing.T) {
	empty := `"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n"
	for name, line := range map[string]string{
		"parent":         `{"path":"../outside",` + empty,
		"inner parent":   `{"path":"a/../../outside",` + empty,
		"absolute":       `{"path":"/tmp/outside",` + empty,
		"backslash":      `{"path":"..\\outside",` + empty,
		"zero byte":      `{"path":"a\u0000b",` + empty,
		"empty":          `{"path":"",` + empty,
		"twice":          `{"path":"a",` + empty + `{"path":"a",` + empty,
		"negative size":  `{"path":"a","size":-1,` + empty,
		"other prefix":   `{"path":"a","size":1,"object":"../../secret/` + strings.Repeat("a", 64) + `-x",` + empty,
		"short hash":     `{"path":"a","size":1,"object":"objects/x-y","sha256":"00"}`,
		"endless line":   `{"path":"` + strings.Repeat("a", 100<<10) + `",` + empty,
		"not JSON":       "hello\n",
		"zip of nothing": strings.Repeat("\n", 10),
	} {
		t.Run(name, func(t *testing.T) {
			store := &objectstoretest.Memory{}
			repo := open(t, store)
			m := backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 1))
			forge(t, store, m, line)
			parent := t.TempDir()
			_, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: filepath.Join(parent, "target")})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error is %v, want it refused as damaged", err)
			}
			if found := contentOf(t, parent); len(found) != 0 {
				t.Errorf("wrote %v", found)
			}
			next := backUp(t, repo, whole(tree(t, map[string]string{"f": "x"}), ".", 2))
			expectContent(t, restore(t, repo, next.ID), map[string]string{"f": "x"})
		})
	}
}

func TestRestoreDoesNotFollowLinksOutOfTheTarget(t *testing.T) {
	repo := open(t, &objectstoretest.Memory{})
	m := backUp(t, repo, whole(tree(t, map[string]string{"state/f": "x"}), ".", 1))
	target, outside := t.TempDir(), t.TempDir()
	// An interrupted restore whose directory somebody replaced by a link.
	repo2 := *repo
	repo2.store = failing{repo.store}
	if _, err := repo2.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target}); err == nil {
		t.Fatal("the restore was not interrupted")
	}
	if err := os.Symlink(outside, filepath.Join(target, "state")); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Restore(t.Context(), RestoreOptions{Point: m.ID, Target: target}); err == nil {
		t.Error("the link was followed")
	}
	if found := contentOf(t, outside); len(found) != 0 {
		t.Errorf("wrote %v outside", found)
	}
}

// failing cannot read objects.
type failing struct{ objectstore.Store }

func (f failing) Get(ctx context.Context, key string, part objectstore.Range) (r io.ReadCloser, info objectstore.Info, err error) {
	if strings.Contains(key, "/objects/") {
		return nil, info, errors.New("killed")
	}
	return f.Store.Get(ctx, key, part)
}

func TestRestoreIsCompleteOnlyWhenItsJudgeAgrees(t *testing.T) {
	store := &objectstoretest.Memory{}
	repo := open(t, store)
	point := backUp(t, repo, whole(tree(t, sample()), "a", 1)).ID
	target := filepath.Join(t.TempDir(), "restored")
	verdict := errors.New("does not verify")
	options := RestoreOptions{Point: point, Target: target, Judge: func(_ context.Context, record *RestoreRecord) error {
		if got := contentOf(t, filepath.Join(target, "a")); len(got) != len(sample()) || record.State != RestoreIncomplete {
			t.Errorf("judged with %d files in state %s", len(got), record.State)
		}
		return verdict
	}}
	for range 2 {
		if _, err := repo.Restore(t.Context(), options); !errors.Is(err, verdict) {
			t.Errorf("error is %v, want the judge's", err)
		}
		record, err := ReadRestoreRecord(t.Context(), nil, target)
		if err != nil || record.State != RestoreIncomplete {
			t.Errorf("record is %+v, %v; want it incomplete", record, err)
		}
	}
	verdict = nil
	record, err := repo.Restore(t.Context(), options)
	if err != nil || record.State != RestoreComplete {
		t.Errorf("record is %+v, %v; want it complete", record, err)
	}
}

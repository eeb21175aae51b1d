// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"testing/fstest"
)

func look(commit int64, inode uint64, working string) Look {
	l := Look{Volume: Volume{Device: 1, Inode: inode}, Working: working}
	if commit >= 0 {
		l.Offsets, l.Commits = batches(commit, 0), batches(commit, 0)
	}
	return l
}

func TestExchangedRootIsNoticed(t *testing.T) {
	for _, test := range []struct {
		title string
		steps func(q *Query)
		want  string
		kind  ChangeKind
	}{
		{"progress", func(q *Query) { q.Looked(at(2), look(8, 5, "")) }, "", ""},
		{"other directory, same batches", func(q *Query) { q.Looked(at(2), look(7, 6, "")) }, "", ChangeVolume},
		{"other directory, older", func(q *Query) { q.Looked(at(2), look(3, 6, "")) }, "Replaced", ChangeWentBack},
		{"older", func(q *Query) { q.Looked(at(2), look(3, 5, "")) }, "Replaced", ChangeWentBack},
		{"older, and back again", func(q *Query) { q.Looked(at(2), look(3, 5, "")); q.Looked(at(3), look(7, 5, "")) }, "", ChangeWentBack},
		{"emptied", func(q *Query) { q.Looked(at(2), look(-1, 5, "")) }, "Replaced NothingCommitted", ChangeEmptied},
		{"gone", func(q *Query) { q.Absent(at(2)) }, "Replaced NothingCommitted", ChangeEmptied},
		{"during a rewind", func(q *Query) { q.Looked(at(2), look(3, 5, ".lock")) }, "Working", ChangeWentBack},
		{"after a rewind", func(q *Query) {
			q.Looked(at(2), look(7, 5, ".lock"))
			q.Looked(at(3), look(3, 5, ""))
			q.Looked(at(4), look(3, 5, ""))
		}, "", ChangeWentBack},
		{"again after a rewind", func(q *Query) {
			q.Looked(at(2), look(3, 5, ".lock"))
			q.Looked(at(3), look(4, 5, ""))
			q.Looked(at(4), look(2, 5, ""))
		}, "Replaced", ChangeWentBack},
		{"other query", func(q *Query) { q.Identified(at(1), "a"); q.Identified(at(2), "b") }, "Replaced", ChangeQuery},
		{"other query after a permitted start", func(q *Query) {
			q.Recorded(7, "1")
			q.Identified(at(1), "a")
			q.Identified(at(2), "b")
			q.Recorded(7, "2")
		}, "", ChangeQuery},
		{"emptied and permitted", func(q *Query) {
			q.Recorded(7, "1")
			q.Looked(at(2), look(-1, 5, ""))
			q.Recorded(-1, "2")
			q.Looked(at(3), look(0, 5, ""))
		}, "", ChangeEmptied},
		{"old copy with its record", func(q *Query) {
			q.Recorded(7, "1")
			q.Looked(at(2), look(3, 6, ""))
			q.Recorded(1, "2")
		}, "Replaced", ChangeWentBack},
		{"older and permitted", func(q *Query) {
			q.Recorded(7, "1")
			q.Looked(at(2), look(3, 5, ""))
			q.Recorded(3, "2")
		}, "", ChangeWentBack},
		{"older than on record", func(q *Query) { q.Recorded(9, "1") }, "Older", ""},
		{"as on record", func(q *Query) { q.Recorded(7, "1") }, "", ""},
	} {
		t.Run(test.title, func(t *testing.T) {
			q := verified(orders(), 0)
			q.Looked(at(1), look(7, 5, ""))
			test.steps(q)
			if got := reasons(q, 5); got != test.want {
				t.Errorf("problems %q, want %q", got, test.want)
			}
			change := q.Status(at(5)).Change
			switch {
			case change == nil && test.kind != "":
				t.Errorf("no change was noticed, want %s", test.kind)
			case change != nil && change.Kind != test.kind:
				t.Errorf("change is %+v, want %q", change, test.kind)
			}
		})
	}
}

// A watch that begins after the exchange has only the record to tell it.
func TestEmptiedRootIsNoticedAfterARestartToo(t *testing.T) {
	q := orders()
	q.Absent(at(0))
	q.Recorded(41, "1")
	problems := q.problems(at(1), pace)
	if len(problems) != 2 || problems[0].Reason != ReasonOlder || problems[0].Message != "batch 41 is on record as committed, and none is" {
		t.Errorf("problems %+v", problems)
	}
}

func TestForeignOwner(t *testing.T) {
	mine := &Owner{Namespace: "shop", Name: "clicks", UID: "a", Epoch: 1}
	for title, test := range map[string]struct {
		now, before *Owner
		want        string
	}{
		"none":                   {nil, nil, ""},
		"mine":                   {mine, nil, ""},
		"made again":             {&Owner{Namespace: "shop", Name: "clicks", UID: "b", Epoch: 1}, mine, ""},
		"higher epoch of my own": {&Owner{Namespace: "shop", Name: "clicks", UID: "a", Epoch: 2}, mine, ""},
		"taken over":             {&Owner{Namespace: "shop", Name: "clicks", UID: "b", Epoch: 2}, mine, "the checkpoint was taken over at epoch 2 by a pipeline of the same name"},
		"another":                {&Owner{Namespace: "test", Name: "clicks", UID: "b"}, nil, "the checkpoint belongs to pipeline test/clicks"},
	} {
		if got := Foreign(test.now, test.before, "shop", "clicks"); got != test.want {
			t.Errorf("%s: %q, want %q", title, got, test.want)
		}
	}
}

func TestDigestChangesWithNamesAndContents(t *testing.T) {
	digest := func(files fstest.MapFS) string {
		t.Helper()
		d, err := Digest(files)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	base := digest(fstest.MapFS{"user": file("ann"), "password": file("s3cret")})
	// SHA-256 of "password", "s3cret", "user", "ann", each after its length as eight bytes.
	if want := "eb1c3abe3894f87f029a908a2adaf4c787d0e2062d062dbbb49017f15394c1fb"; base != want {
		t.Errorf("digest is %s, want %s", base, want)
	}
	if again := digest(fstest.MapFS{"user": file("ann"), "password": file("s3cret"), "..2026_03_01/user": file("x"), "..data": file("y")}); again != base {
		t.Error("what the kubelet adds changes the digest")
	}
	for title, other := range map[string]fstest.MapFS{
		"content": {"user": file("ann"), "password": file("s3crets")},
		"name":    {"user": file("ann"), "passwort": file("s3cret")},
		"cut":     {"use": file("rann"), "password": file("s3cret")},
		"fewer":   {"user": file("ann")},
		"none":    {},
	} {
		if digest(other) == base {
			t.Errorf("another %s has the same digest", title)
		}
	}
	if _, err := Digest(fstest.MapFS{"big": &fstest.MapFile{Data: make([]byte, mostMounted+1)}}); err == nil {
		t.Error("a huge file was read")
	}
}

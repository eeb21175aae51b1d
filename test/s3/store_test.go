// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/test/s3/server"
)

func read(t *testing.T, store objectstore.Store, key string, part objectstore.Range) string {
	t.Helper()
	body, _, err := store.Get(t.Context(), key, part)
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

func TestPutGetHeadListDelete(t *testing.T) {
	store := connect(t, options(bucket(t)))
	put(t, store, "a/b/one", "hello world")
	put(t, store, "a/two", "")
	put(t, store, "c", "x")
	if got := read(t, store, "a/b/one", objectstore.Range{}); got != "hello world" {
		t.Errorf("read %q", got)
	}
	if got := read(t, store, "a/b/one", objectstore.Range{Offset: 6}); got != "world" {
		t.Errorf("from byte 6: %q", got)
	}
	if got := read(t, store, "a/b/one", objectstore.Range{Offset: 0, Length: 5}); got != "hello" {
		t.Errorf("the first 5 bytes: %q", got)
	}
	if got := read(t, store, "a/b/one", objectstore.Range{Offset: 6, Length: 100}); got != "world" {
		t.Errorf("a range past the end: %q", got)
	}
	if got := read(t, store, "a/two", objectstore.Range{}); got != "" {
		t.Errorf("an empty object: %q", got)
	}
	info, err := store.Head(t.Context(), "a/b/one")
	if err != nil || info.Size != 11 || info.ModTime.IsZero() || info.ETag == "" {
		t.Errorf("head: %+v, %v", info, err)
	}
	folders, err := store.Folders(t.Context(), "a/")
	if err != nil || !slices.Equal(folders, []string{"b/"}) {
		t.Errorf("folders are %q, %v; want b/", folders, err)
	}
	if err := store.Delete(t.Context(), []string{"a/b/one", "never/there"}); err != nil {
		t.Errorf("delete: %v", err)
	}
	_, err = store.Head(t.Context(), "a/b/one")
	expectKind(t, err, objectstore.KindNotFound)
	_, _, err = store.Get(t.Context(), "a/b/one", objectstore.Range{})
	expectKind(t, err, objectstore.KindNotFound)
}

func TestListingOfManyPagesIsInOrder(t *testing.T) {
	store := connect(t, options(bucket(t)))
	var want []string
	for i := range 1203 {
		key := fmt.Sprintf("list/%04d", i)
		put(t, store, key, "x")
		want = append(want, key)
	}
	put(t, store, "other", "x")
	var got []string
	for info, err := range store.List(t.Context(), "list/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %d keys, want %d in order", len(got), len(want))
	}
	if err := store.Delete(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	for info, err := range store.List(t.Context(), "list/") {
		t.Errorf("still there: %+v, %v", info, err)
	}
}

func TestLargeObjectGoesInParts(t *testing.T) {
	o := options(bucket(t))
	o.PartSize = 5 << 20
	store := connect(t, o)
	content := noise(1, 12<<20)
	put(t, store, "large", content)
	if got := read(t, store, "large", objectstore.Range{}); got != content {
		t.Error("read other bytes than were written")
	}
}

func TestConditionalWrites(t *testing.T) {
	store := connect(t, options(bucket(t)))
	honoured, err := objectstore.ProbeConditional(t.Context(), store, "p/")
	if err != nil || !honoured {
		t.Errorf("probe: %v, %v; this server honours If-None-Match", honoured, err)
	}
	for info, err := range store.List(t.Context(), "") {
		t.Errorf("the probe left %+v, %v", info, err)
	}
	put(t, store, "once", "first")
	_, err = store.Put(t.Context(), "once", strings.NewReader("second"), 6, objectstore.PutOptions{IfAbsent: true})
	expectKind(t, err, objectstore.KindExists)
	if got := read(t, store, "once", objectstore.Range{}); got != "first" {
		t.Errorf("content is %q, want the first", got)
	}
}

func TestBodyThatIsNotWhatItsHashSaysIsRefused(t *testing.T) {
	store := connect(t, options(bucket(t)))
	_, err := store.Put(t.Context(), "k", strings.NewReader("abc"), 3, objectstore.PutOptions{SHA256: strings.Repeat("0", 64)})
	expectKind(t, err, objectstore.KindCorrupted)
	_, err = store.Head(t.Context(), "k")
	expectKind(t, err, objectstore.KindNotFound)
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	name := bucket(t)
	for title, test := range map[string]struct {
		change func(*objectstore.Options)
		kind   objectstore.Kind
		says   string
	}{
		"a bucket that is not there": {func(o *objectstore.Options) { o.Bucket = "nobody-made-this" }, objectstore.KindMissingBucket, "create the bucket"},
		"the wrong region":           {func(o *objectstore.Options) { o.Region = "us-west-2" }, objectstore.KindWrongRegion, "set the region"},
		"an unknown access key": {func(o *objectstore.Options) {
			o.Credentials = objectstore.StaticCredentials("nobody", "x", "")
		}, objectstore.KindBadCredentials, "correct the access key"},
		"a wrong secret key": {func(o *objectstore.Options) {
			o.Credentials = objectstore.StaticCredentials(server.RootAccess, "wrong", "")
		}, objectstore.KindBadCredentials, "correct the access key"},
		"no right to write": {func(o *objectstore.Options) {
			o.Credentials = objectstore.StaticCredentials(server.UserAccess, server.UserSecret, "")
		}, objectstore.KindAccessDenied, "allow s3:PutObject"},
		"nobody at the endpoint": {func(o *objectstore.Options) { o.Endpoint = "http://127.0.0.1:1" }, objectstore.KindNetwork, "check the endpoint"},
		"no credentials":         {func(o *objectstore.Options) { o.Credentials = objectstore.StaticCredentials("", "", "") }, objectstore.KindNoCredentials, "give the pod credentials"},
	} {
		t.Run(title, func(t *testing.T) {
			o := options(name)
			test.change(&o)
			_, err := connect(t, o).Put(t.Context(), "k", strings.NewReader("abc"), 3, objectstore.PutOptions{})
			expectKind(t, err, test.kind)
			if err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %q, want it to say %q", err, test.says)
			}
			if err != nil && (strings.Contains(err.Error(), server.RootSecret) || strings.Contains(err.Error(), server.UserSecret)) {
				t.Errorf("error tells a secret: %v", err)
			}
		})
	}
}

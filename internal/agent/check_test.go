// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/objectstore/objectstoretest"
)

// buckets are stores in memory by the name of their bucket.
type buckets map[string]*objectstoretest.Memory

func (b buckets) use(a *agent) {
	a.open = func(o objectstore.Options) (objectstore.Store, error) {
		if o.Region == "" {
			return nil, errors.New("region is empty")
		}
		store := b[o.Bucket]
		if store == nil {
			return nil, errors.New("the test has no bucket " + o.Bucket)
		}
		return store, nil
	}
}

// configFile writes a configuration with the usual buckets.
func configFile(t *testing.T, root, eventLogs string) string {
	t.Helper()
	c := map[string]any{
		"pipeline":          map[string]string{"namespace": "shop", "name": "clicks", "uid": "0b5c", "cluster": "east"},
		"workloadNamespace": "shop", "sparkVersion": "4.1.1", "root": root, "eventLogs": eventLogs,
		"objectStore": map[string]any{
			"region":  "us-west-2",
			"buckets": map[string]string{"input": "b-input", "output": "b-output", "backups": "b-backups", "archives": "b-archives"},
		},
		"backup": map[string]any{
			"checkpoint":      map[string]string{"retention": "168h"},
			"eventLogArchive": map[string]string{"after": "168h", "storageClass": "GLACIER"},
		},
		"backupPrefix": "sparkpipeline/shop/clicks-1", "archivePrefix": "sparkpipeline/shop/clicks-1",
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pipeline.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// denying refuses one operation as a policy would.
func denying(name string) *objectstoretest.Memory {
	return &objectstoretest.Memory{Before: func(o objectstoretest.Operation) error {
		if o.Name == name {
			return &objectstore.Error{Kind: objectstore.KindAccessDenied, Action: "s3:" + name + "Object", Bucket: "b", Key: o.Key, Err: errors.New("denied by policy")}
		}
		return nil
	}}
}

func TestCheckOfAllBuckets(t *testing.T) {
	stores := buckets{"b-input": {}, "b-output": {}, "b-backups": {}, "b-archives": {}}
	var probed []string
	for name, store := range stores {
		store.Before = func(o objectstoretest.Operation) error {
			if o.Name == "Put" {
				probed = append(probed, name+" "+o.Key[:strings.LastIndex(o.Key, "/")+1])
			}
			return nil
		}
	}
	r := runAgent(t, stores.use, "check", "-o", "json", "--config", configFile(t, "/mnt/checkpoints", "/mnt/logs"))
	var got checkResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || !got.Healthy || len(got.Buckets) != 4 {
		t.Fatalf("code %d, %s%s (%v)", r.code, r.out, r.errOut, err)
	}
	if c := got.Buckets[2].ConditionalWrites; c == nil || !*c {
		t.Errorf("conditional writes of %+v are unknown or ignored", got.Buckets[2])
	}
	slices.Sort(probed)
	want := []string{
		"b-archives sparkpipeline/shop/clicks-1/", "b-backups sparkpipeline/shop/clicks-1/",
		"b-backups sparkpipeline/shop/clicks-1/", "b-backups sparkpipeline/shop/clicks-1/", "b-output _sparkpipeline/",
	}
	if !slices.Equal(probed, want) {
		t.Errorf("wrote probes %q, want %q", probed, want)
	}
	for name, store := range stores {
		if left := store.Keys(); len(left) != 0 {
			t.Errorf("bucket %s holds %q afterwards", name, left)
		}
	}
}

func TestCheckSaysWhichRightIsMissing(t *testing.T) {
	for operation, want := range map[string]string{
		"Put":    "s3:PutObject no, s3:ListBucket yes, s3:GetObject not judged, s3:DeleteObject not judged",
		"Get":    "s3:PutObject yes, s3:ListBucket yes, s3:GetObject no, s3:DeleteObject yes",
		"List":   "s3:PutObject yes, s3:ListBucket no, s3:GetObject yes, s3:DeleteObject yes",
		"Delete": "s3:PutObject yes, s3:ListBucket yes, s3:GetObject yes, s3:DeleteObject no",
	} {
		t.Run(operation, func(t *testing.T) {
			stores := buckets{"b-any": denying(operation)}
			r := runAgent(t, stores.use, "check", "-o", "json", "--bucket", "b-any", "--region", "x")
			var got checkResult
			if err := json.Unmarshal([]byte(r.out), &got); err != nil {
				t.Fatalf("%v: %s%s", err, r.out, r.errOut)
			}
			var rights []string
			for _, right := range got.Buckets[0].Rights {
				rights = append(rights, right.Action+" "+right.verdict())
			}
			if text := strings.Join(rights, ", "); text != want || got.Healthy {
				t.Errorf("found %q (healthy %v), want %q", text, got.Healthy, want)
			}
			if r.code != CodeAccessDenied || !strings.Contains(r.errOut, "denied by policy") || !strings.Contains(r.last.Error, "denied by policy") {
				t.Errorf("code %d, message %q, termination %q", r.code, r.errOut, r.last.Error)
			}
		})
	}
}

func TestCheckOfAReadOnlyBucketWritesNothing(t *testing.T) {
	for _, right := range []string{"Put", "Delete"} {
		r := runAgent(t, buckets{"b-any": denying(right)}.use, "check", "--read-only", "--bucket", "b-any", "--region", "x")
		if r.code != 0 || !strings.Contains(r.out, "s3:ListBucket") || strings.Contains(r.out, "s3:PutObject") {
			t.Errorf("code %d: %s%s", r.code, r.out, r.errOut)
		}
	}
}

func TestCheckNeedsABucket(t *testing.T) {
	r := runAgent(t, buckets{}.use, "check")
	if r.code != CodeUsage || !strings.Contains(r.errOut, "set --bucket or --config") {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
}

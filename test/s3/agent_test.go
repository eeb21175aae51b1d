// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sparkpipeline.dev/operator/internal/agent"
	"sparkpipeline.dev/operator/test/s3/server"
)

const wrongSecret = "wrong-secret-9876543210"

// commandLine runs the agent as a pod does: credentials by environment, the rest
// by a file.
type commandLine struct {
	config string
	// said is all that any command ever printed or left.
	said bytes.Buffer
}

func (c *commandLine) run(t *testing.T, command string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	log := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	env := agent.Environment{Out: &stdout, ErrOut: &stderr, Version: "v0", TerminationLog: log}
	code = agent.Execute(t.Context(), env, append([]string{command, "-v", "--config", c.config}, args...))
	last, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var parsed agent.Termination
	if err := json.Unmarshal(last, &parsed); err != nil || parsed.Command != command || parsed.Code != code {
		t.Errorf("%s ended with %d and the last words %s (%v)", command, code, last, err)
	}
	fmt.Fprintln(&c.said, stdout.String(), stderr.String(), string(last))
	return code, stdout.String(), stderr.String()
}

// must runs a command that has to succeed, and decodes what it prints.
func (c *commandLine) must(t *testing.T, into any, command string, args ...string) {
	t.Helper()
	code, out, errOut := c.run(t, command, append(args, "-o", "json")...)
	if code != agent.CodeOK {
		t.Fatalf("%s ended with %d: %s%s", command, code, out, errOut)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%s printed %s: %v", command, out, err)
	}
}

func (c *commandLine) expectNoSecret(t *testing.T) {
	t.Helper()
	for _, secret := range []string{server.RootSecret, server.UserSecret, wrongSecret} {
		if strings.Contains(c.said.String(), secret) {
			t.Errorf("a secret was printed: %s", c.said.String())
		}
	}
}

func as(t *testing.T, access, secret string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
}

// pipeline writes the configuration of a pipeline whose buckets are one.
func pipeline(t *testing.T, root, eventLogs string, change func(store map[string]any)) *commandLine {
	t.Helper()
	name := bucket(t)
	store := map[string]any{
		"region": server.Region, "endpoint": running.URL, "pathStyle": true,
		"buckets": map[string]string{"backups": name, "archives": name},
	}
	if change != nil {
		change(store)
	}
	text, err := json.Marshal(map[string]any{
		"pipeline":          map[string]string{"namespace": "shop", "name": "clicks", "uid": "0b5c"},
		"workloadNamespace": "shop", "sparkVersion": "4.1.4", "root": root, "eventLogs": eventLogs, "objectStore": store,
		"backup":       map[string]any{"checkpoint": map[string]string{"retention": "168h"}, "eventLogArchive": map[string]string{"after": "168h", "storageClass": "GLACIER"}},
		"backupPrefix": "pipelines/clicks", "archivePrefix": "pipelines/clicks",
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pipeline.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return &commandLine{config: path}
}

// sparkRoot unpacks a checkpoint that real Spark wrote.
func sparkRoot(t *testing.T, name, dir string) {
	t.Helper()
	file, err := os.Open(filepath.Join(running.home, "..", "..", "internal", "checkpoint", "testdata", "spark", name, "root.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		unpack(t, filepath.Join(dir, strings.TrimPrefix(header.Name, "root/")), header, archive)
	}
}

func unpack(t *testing.T, path string, header *tar.Header, from io.Reader) {
	t.Helper()
	if header.Typeflag == tar.TypeDir {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	place(t, path, string(body), header.ModTime)
}

func place(t *testing.T, path, body string, at time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// point is what the tests need of what backup and points print.
type point struct {
	ID        string
	State     string
	Files     int64
	SentFiles int64
	Roots     []struct {
		Root  string
		Batch int64
	}
}

func TestCommandsFromBackupToRestore(t *testing.T) {
	as(t, server.RootAccess, server.RootSecret)
	root := t.TempDir()
	sparkRoot(t, "hdfs-41", filepath.Join(root, "orders"))
	sparkRoot(t, "rocksdb-changelog-43", filepath.Join(root, "deep", "returns"))
	c := pipeline(t, root, t.TempDir(), nil)

	var check struct{ Healthy bool }
	c.must(t, &check, "check")
	var first, second struct{ Point point }
	c.must(t, &first, "backup")
	c.must(t, &second, "backup")
	if p := first.Point; !check.Healthy || p.State != "Verified" || len(p.Roots) != 2 || p.Roots[1].Root != "orders" || p.Roots[1].Batch != 5 || p.SentFiles != p.Files {
		t.Errorf("check %v, first point %+v", check, p)
	}
	if p := second.Point; p.SentFiles != 0 || p.Files != first.Point.Files {
		t.Errorf("nothing changed, and the second point is %+v", p)
	}
	var listed struct {
		NewestVerified string
		Points         []point
	}
	c.must(t, &listed, "points")
	if len(listed.Points) != 2 || listed.NewestVerified != second.Point.ID || listed.Points[0].ID != first.Point.ID {
		t.Errorf("points are %+v", listed)
	}
	target := filepath.Join(t.TempDir(), "restored")
	var restored struct{ Record struct{ State, Point string } }
	c.must(t, &restored, "restore", target, "--batch", "orders=5")
	if restored.Record.State != "Complete" || restored.Record.Point != second.Point.ID {
		t.Errorf("restored %+v", restored)
	}
	before, after := filesBelow(t, root), filesBelow(t, target)
	delete(after, ".sparkpipeline-restore.json")
	for name, body := range after {
		if before[name] != body {
			t.Errorf("%s has other bytes than before", name)
		}
	}
	if int64(len(after)) != second.Point.Files || len(after) < 30 {
		t.Errorf("restored %d files of %d", len(after), second.Point.Files)
	}
	if code, _, errOut := c.run(t, "restore", root); code != agent.CodeNotEmpty || !strings.Contains(errOut, "the target is not empty") {
		t.Errorf("a restore over a live root ended with %d: %s", code, errOut)
	}
	var pruned struct{ Kept, Removed []string }
	c.must(t, &pruned, "prune")
	if len(pruned.Kept) != 2 || len(pruned.Removed) != 0 {
		t.Errorf("pruned %+v", pruned)
	}
	c.expectNoSecret(t)
}

func TestCommandArchive(t *testing.T) {
	as(t, server.RootAccess, server.RootSecret)
	logs := t.TempDir()
	old := time.Now().Add(-8 * 24 * time.Hour)
	large := noise(7, 70<<20) // more than one part
	for name, body := range map[string]string{
		"eventlog_v2_spark-aa/appstatus_spark-aa": "", "eventlog_v2_spark-aa/events_1_spark-aa.zstd": "events", "spark-bb": large,
		"eventlog_v2_spark-cc/appstatus_spark-cc.inprogress": "", "eventlog_v2_spark-cc/events_1_spark-cc.zstd": "live",
	} {
		place(t, filepath.Join(logs, name), body, old)
	}
	c := pipeline(t, t.TempDir(), logs, nil)
	var archived struct{ Archived, Kept []struct{ Name string } }
	c.must(t, &archived, "archive")
	if len(archived.Archived) != 2 || len(archived.Kept) != 1 || archived.Kept[0].Name != "eventlog_v2_spark-cc" {
		t.Errorf("archived %+v", archived)
	}
	if left := filesBelow(t, logs); len(left) != 2 || left["eventlog_v2_spark-cc/events_1_spark-cc.zstd"] != "live" {
		t.Errorf("left are %d files", len(left))
	}
	found := filesBelow(t, filepath.Join(running.dir, "buckets", bucket(t), "pipelines/clicks"))
	if found["eventlogs/spark-bb"] != large || found["eventlogs/eventlog_v2_spark-aa/events_1_spark-aa.zstd"] != "events" ||
		!strings.Contains(found["archived/spark-bb.json"], fmt.Sprintf(`"size": %d`, len(large))) {
		t.Errorf("the bucket holds %d files, of %d bytes for the large one", len(found), len(found["eventlogs/spark-bb"]))
	}
	c.expectNoSecret(t)
}

// Whatever is wrong with the way to the bucket, every command says it in the same
// words and with the same code.
func TestCommandsSayWhatIsWrongWithTheStore(t *testing.T) {
	root, logs := t.TempDir(), t.TempDir()
	sparkRoot(t, "hdfs-41", filepath.Join(root, "orders"))
	place(t, filepath.Join(logs, "spark-aa"), "events", time.Now().Add(-30*24*time.Hour))
	for title, test := range map[string]struct {
		access, secret string
		change         func(store map[string]any)
		code           int
		says           string
	}{
		"wrong secret key": {server.RootAccess, wrongSecret, nil, agent.CodeCredentials,
			"SignatureDoesNotMatch, status 403: The request signature we calculated does not match the signature you provided. Check your key and signing method. (correct the access key and the secret key; the store does not accept this pair)"},
		"unknown access key": {"nobody", wrongSecret, nil, agent.CodeCredentials, "(correct the access key and the secret key; the store does not accept this pair)"},
		"missing bucket": {server.RootAccess, server.RootSecret, func(s map[string]any) {
			s["buckets"] = map[string]string{"backups": "nobody-made-this", "archives": "nobody-made-this"}
		}, agent.CodeMissingBucket, "(create the bucket or correct its name)"},
		"wrong region": {server.RootAccess, server.RootSecret, func(s map[string]any) { s["region"] = "us-west-2" }, agent.CodeWrongRegion,
			"(set the region in which the bucket was created)"},
		"no rights": {server.UserAccess, server.UserSecret, nil, agent.CodeAccessDenied, "on it for these credentials)"},
	} {
		t.Run(title, func(t *testing.T) {
			as(t, test.access, test.secret)
			c := pipeline(t, root, logs, test.change)
			for command, args := range map[string][]string{
				"check": nil, "backup": nil, "points": nil, "prune": nil, "archive": nil, "restore": {filepath.Join(t.TempDir(), "target")},
			} {
				code, _, errOut := c.run(t, command, args...)
				if code != test.code || !strings.Contains(errOut, test.says) {
					t.Errorf("%s ended with %d, want %d; it said %s", command, code, test.code, errOut)
				}
			}
			c.expectNoSecret(t)
		})
	}
	if left := filesBelow(t, logs); left["spark-aa"] != "events" {
		t.Errorf("left of the event logs are %v", left)
	}
}

// grant lets the user do these actions in the test's bucket, by a bucket policy.
func grant(t *testing.T, name string, actions ...string) {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(running.URL, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(server.RootAccess, server.RootSecret, ""), Region: server.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"AWS": []string{server.UserAccess}}, "Action": actions,
		"Resource": []string{"arn:aws:s3:::" + name, "arn:aws:s3:::" + name + "/*"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetBucketPolicy(t.Context(), name, string(policy)); err != nil {
		t.Fatal(err)
	}
}

func TestCommandCheckNamesTheMissingRight(t *testing.T) {
	all := []string{"s3:PutObject", "s3:ListBucket", "s3:GetObject", "s3:DeleteObject"}
	for i, missing := range all {
		t.Run(missing, func(t *testing.T) {
			c := pipeline(t, t.TempDir(), t.TempDir(), nil)
			granted := append(append([]string{}, all[:i]...), all[i+1:]...)
			grant(t, bucket(t), granted...)
			as(t, server.UserAccess, server.UserSecret)
			code, out, errOut := c.run(t, "check", "-o", "json")
			var result struct {
				Buckets []struct {
					Rights []struct {
						Action  string
						Granted *bool
						Kind    string
					}
				}
			}
			if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Buckets) != 2 {
				t.Fatalf("%s%s (%v)", out, errOut, err)
			}
			for _, right := range result.Buckets[0].Rights {
				denied := right.Granted != nil && !*right.Granted
				if denied != (right.Action == missing) || denied && right.Kind != "AccessDenied" {
					t.Errorf("%s taken away, and %+v", missing, right)
				}
			}
			if code != agent.CodeAccessDenied || !strings.Contains(errOut, "allow "+missing+" on it for these credentials") {
				t.Errorf("ended with %d: %s", code, errOut)
			}
			c.expectNoSecret(t)
		})
	}
}

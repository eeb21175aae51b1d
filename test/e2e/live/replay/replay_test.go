// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sparkpipeline.dev/operator/test/e2e/world"
)

// providers are all ways of Spark to keep state, each in a root of this name.
var providers = []string{"hdfs", "rocksdb", "rocksdb-changelog"}

// stage is what all steps share.
type stage struct {
	t     *testing.T
	spark Spark
	input *Input
	agent string
	store []string // flags of the agent that name the bucket
}

func setUp(t *testing.T) *stage {
	root, err := filepath.Abs(filepath.Join("..", "..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &stage{t: t, agent: filepath.Join(dir, "agent")}
	s.spark.Dir = dir
	for command, to := range map[string]*string{"spark-home": &s.spark.Home, "spark-app": &s.spark.Jar} {
		if *to, err = world.Cluster(t.Context(), root, os.Stderr, command); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.agent, "./cmd/agent")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	w := world.Beside(root, dir, os.Stderr)
	url, err := w.StartS3(t.Context(), "127.0.0.1:0", "backups")
	t.Cleanup(func() {
		if err := world.Down(context.Background(), root, dir, os.Stderr); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.store = []string{"--bucket", "backups", "--prefix", "replay", "--endpoint", url, "--path-style", "--region", world.S3Region, "--owner", "replay"}
	if s.input, err = NewInput(filepath.Join(dir, "input")); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the agent and reads its result.
func (s *stage) run(result any, args ...string) error {
	cmd := exec.CommandContext(s.t.Context(), s.agent, append(args, "-o", "json")...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+world.S3AccessKey, "AWS_SECRET_ACCESS_KEY="+world.S3SecretKey)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("agent %v: %w: %s%s", args, err, out, stderr.Bytes())
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("agent %v: %w in %s", args, err, out)
	}
	return nil
}

// feed writes files one by one, each of them one batch of every query.
func (s *stage) feed(p *Process, at string, from, to int) {
	s.t.Helper()
	for batch := from; batch < to; batch++ {
		if err := s.input.Add(1); err != nil {
			s.t.Fatal(err)
		}
		for _, provider := range providers {
			if err := p.Batch(s.t.Context(), filepath.Join(at, provider), batch); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

const (
	backedUp = 12 // batches before the backup begins
	killed   = 24 // batches before the process is killed
	back     = 8  // batches that a rewind takes back
)

// live runs a query of each provider, backs all up meanwhile, and kills them in the
// middle of a batch. It answers with what the backup took, by root.
func (s *stage) live(at string) map[string]int64 {
	t := s.t
	p, err := s.spark.Start(t.Context(), "live", "spark.sql.streaming.stateStore.maintenanceInterval=1s",
		"spark.sql.streaming.stateStore.minDeltasForSnapshot=3")
	if err != nil {
		t.Fatal(err)
	}
	for _, provider := range providers {
		if err := p.Run(filepath.Join(at, provider), s.input.Dir, 1, provider); err != nil {
			t.Fatal(err)
		}
	}
	s.feed(p, at, 0, backedUp)
	var made struct {
		Point struct {
			Roots []struct {
				Root     string
				Batch    int64
				Provider string
			}
		}
	}
	done := make(chan error)
	begin := time.Now()
	go func() {
		done <- s.run(&made, append([]string{"backup", "--root", at, "--spark-version", "4.1.4"}, s.store...)...)
	}()
	s.feed(p, at, backedUp, killed)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("backed up %+v while the queries ran, at most %.1f s", made.Point.Roots, time.Since(begin).Seconds())
	if err := s.input.Add(2); err != nil { // Their batches are under way when the end comes.
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	taken := map[string]int64{}
	for _, root := range made.Point.Roots {
		taken[root.Root] = root.Batch
	}
	return taken
}

// variant is a checkpoint that was made of the one of the killed process.
type variant struct {
	name string
	// wrong: its state must turn out wrong, which shows that the judge can tell.
	wrong bool
	make  func(provider, to string)
}

func (s *stage) copyRoot(from, to string) {
	s.t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		s.t.Fatalf("copy a root: %v: %s", err, out)
	}
}

func (s *stage) variants(dead string) []variant {
	m := killed - 1 - back
	restored := filepath.Join(s.spark.Dir, "restore")
	begin := time.Now()
	var result struct{ Record struct{ Files int64 } }
	if err := s.run(&result, append([]string{"restore", restored}, s.store...)...); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("restored %d files in %.2f s", result.Record.Files, time.Since(begin).Seconds())
	return []variant{
		{"restored", false, func(provider, to string) { s.copyRoot(filepath.Join(restored, provider), to) }},
		{"left-behind", true, func(provider, to string) {
			s.copyRoot(filepath.Join(dead, provider), to)
			if err := takeBackLogs(to, m); err != nil {
				s.t.Fatal(err)
			}
			if provider != "rocksdb" {
				return // Newer snapshots and zips are read at the second restart.
			}
			// Plain RocksDB writes its zips anew before it reads them.
			if err := ageZip(to, m+1, m-3); err != nil {
				s.t.Fatal(err)
			}
		}},
	}
}

// TestStateEqualsInput is the judgement over all providers.
func TestStateEqualsInput(t *testing.T) {
	s := setUp(t)
	dead := filepath.Join(s.spark.Dir, "dead")
	for root, batch := range s.live(dead) {
		if batch < backedUp-2 || batch >= killed-2 {
			t.Errorf("the backup of %s took batch %d: it was not made while the query ran", root, batch)
		}
	}
	variants := s.variants(dead)
	at := func(v variant, provider string) string { return filepath.Join(s.spark.Dir, v.name+"-"+provider) }
	for _, v := range variants {
		for _, provider := range providers {
			v.make(provider, at(v, provider))
		}
	}
	failures := map[string]string{}
	for restart, filesPerBatch := range []int{1, 3} {
		if err := s.input.Add(12); err != nil {
			t.Fatal(err)
		}
		// No snapshot of the new timeline hides one of the old.
		p, err := s.spark.Start(t.Context(), fmt.Sprintf("restart-%d", restart+1), "spark.sql.streaming.stateStore.minDeltasForSnapshot=1000")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range variants {
			for _, provider := range providers {
				root := at(v, provider)
				state, err := p.Drain(t.Context(), root, s.input.Dir, filesPerBatch, provider)
				failure := Difference(s.input.State(), state)
				if err != nil {
					failure = err.Error()
				}
				t.Logf("restart %d of %s: %s", restart+1, filepath.Base(root), failure)
				if failure != "" {
					failures[root] = failure
				}
			}
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range variants {
		for _, provider := range providers {
			switch failure := failures[at(v, provider)]; {
			case v.wrong && failure == "":
				t.Errorf("%s of %s is right after two restarts: the judge cannot tell wrong from right", v.name, provider)
			case !v.wrong && failure != "":
				t.Errorf("%s of %s: %s", v.name, provider, failure)
			}
		}
	}
}

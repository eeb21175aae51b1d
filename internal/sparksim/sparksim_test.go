// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

func start(t *testing.T, files *Files, settings Settings, rng *rand.Rand) *Query {
	t.Helper()
	q, err := Start(files, settings, rng)
	if err == nil {
		err = q.right()
	}
	if err != nil {
		t.Fatalf("%+v: %v", settings, err)
	}
	return q
}

// A driver that is killed after any operation leaves a root that it goes on with,
// and that the verification finds healthy; so does a rewind.
func TestRootsSurviveKillsAndRewinds(t *testing.T) {
	rewinds, batches := 0, int64(0)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		settings, files := Draw(rng), NewFiles()
		q := start(t, files, settings, rng)
		for range 1500 {
			q.Step()
			switch n := rng.IntN(1000); {
			case n < 15:
				q = start(t, files, settings, rng)
			case n < 30:
				judge(t, seed, files, settings, rng)
			case n < 35:
				if batch, ok := DrawRewind(files, settings, rng); ok {
					for _, do := range Rewind(files, batch) {
						do()
					}
					judge(t, seed, files, settings, rng)
					q = start(t, files, settings, rng)
					rewinds++
				}
			}
		}
		batches += q.batch
	}
	if rewinds < 20 || batches < 400 {
		t.Errorf("%d rewinds, and batches up to %d in all", rewinds, batches)
	}
}

func judge(t *testing.T, seed uint64, files *Files, settings Settings, rng *rand.Rand) {
	t.Helper()
	if err := Judge(files, settings, rng); err != nil {
		t.Errorf("%+v: %v", settings, err)
	}
	if expectHealthy(t, files, settings); t.Failed() {
		t.Fatalf("seed %d", seed)
	}
}

func expectHealthy(t *testing.T, files *Files, settings Settings) {
	t.Helper()
	report, err := checkpoint.Verify(t.Context(), View{Files: files}, checkpoint.Options{})
	if errors.Is(err, checkpoint.ErrNoRoot) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		// A kill between a file and its checksums leaves these alone, as with Spark.
		if f.Severity == checkpoint.SeverityError && f.Kind != checkpoint.KindOrphanChecksum {
			t.Errorf("%+v: %+v", settings, f)
		}
	}
	if report.LastCommit == nil {
		return
	}
	if !slices.Contains(report.RestorableBatches, *report.LastCommit) {
		t.Errorf("%+v: batch %d is committed, restorable are %v", settings, *report.LastCommit, report.RestorableBatches)
	}
	if *report.LastCommit > 0 && report.Provider.String() != settings.Provider.String() {
		t.Errorf("the provider is %s, judged as %s", settings.Provider, report.Provider)
	}
}

// A recursive copy of a live root is right, does not start, or is silently wrong.
func TestNaiveCopiesAreNotBackups(t *testing.T) {
	right, dead, wrong := 0, 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		settings, files := Draw(rng), NewFiles()
		q := start(t, files, settings, rng)
		for range 300 + rng.IntN(500) {
			q.Step()
		}
		pace := 1 + rng.IntN(4)
		live := View{Files: files, Turn: func(context.Context, string, string) error {
			for range rng.IntN(pace) {
				q.Step()
			}
			return nil
		}}
		copied := NewFiles()
		for e, err := range live.List(t.Context(), ".") {
			if err != nil {
				t.Fatal(err)
			}
			if file, there := files.Get(e.Path); there {
				copied.Copy(e.Path, file)
				_ = live.Turn(t.Context(), "Open", e.Path)
			}
		}
		switch err := Judge(copied, settings, rng); {
		case err == nil:
			right++
		case errors.Is(err, ErrWrong):
			wrong++
		case errors.Is(err, ErrDies):
			dead++
		default:
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	t.Logf("%d are right, %d die, %d are silently wrong", right, dead, wrong)
	if right == 0 || dead == 0 || wrong == 0 {
		t.Errorf("%d are right, %d die, %d are silently wrong; there are copies of each kind", right, dead, wrong)
	}
}

// However long a look at the logs stands still between the names and the files, a
// root that has commits is not taken for one without.
func TestRetentionThatPassesALook(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	settings, files := Draw(rng), NewFiles()
	q := start(t, files, settings, rng)
	stalls := 0
	slow := View{Files: files, Turn: func(_ context.Context, operation, name string) error {
		if operation == "Stat" && name == "commits" && stalls < 2 {
			stalls++
			for until := q.batch + 2*settings.Retain; q.batch < until || len(files.numbers("commits", "")) == 0; {
				q.Step()
			}
		}
		return nil
	}}
	for q.batch < settings.Retain {
		q.Step()
	}
	root, err := checkpoint.Open(t.Context(), slow)
	if err != nil || stalls != 2 {
		t.Fatalf("stood still %d times, %v", stalls, err)
	}
	if last, ok := root.LastCommit(); !ok {
		t.Errorf("no batch is committed, it says; there are %v", files.numbers("commits", ""))
	} else if newest := files.numbers("commits", ""); last != newest[len(newest)-1] {
		t.Errorf("batch %d is committed, it says; there are %v", last, newest)
	}
}

// A query counts the same whatever was killed, so the same seed is the same root.
func TestSeedIsAHistory(t *testing.T) {
	history := func() *Files {
		rng := rand.New(rand.NewPCG(7, 7))
		settings, files := Draw(rng), NewFiles()
		q := start(t, files, settings, rng)
		for range 500 {
			q.Step()
		}
		return files
	}
	first, second := history(), history()
	if names := first.Below("."); !slices.Equal(names, second.Below(".")) || len(names) < 20 {
		t.Fatalf("the same seed made %d and %d files", len(names), len(second.Below(".")))
	}
	for _, name := range first.Below(".") {
		a, _ := first.Get(name)
		if b, _ := second.Get(name); string(a.Content) != string(b.Content) || !a.ModTime.Equal(b.ModTime) {
			t.Errorf("the same seed made another %s", name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/sparksim"
)

// toDisk writes a simulated root into a new directory.
func toDisk(t *testing.T, files *sparksim.Files) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files.Below(".") {
		file, _ := files.Get(name)
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, file.Content, 0o644), os.Chtimes(at, file.ModTime, file.ModTime)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fromDisk reads it back, without what is the agent's.
func fromDisk(t *testing.T, dir string) *sparksim.Files {
	t.Helper()
	files := sparksim.NewFiles()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, ownPrefix) {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			files.Put(name, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// leaveSnapshots puts the snapshots and zips back that a rewind moved aside, and says
// how many these are.
func leaveSnapshots(t *testing.T, dir, trash string) (left int) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), trash, func(name string, d fs.DirEntry, err error) error {
		if kind := path.Ext(name); err != nil || kind != ".snapshot" && kind != ".zip" {
			return err
		}
		left++
		return os.Rename(filepath.Join(dir, name), filepath.Join(dir, strings.TrimPrefix(name, trash+"/")))
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// A query goes on from a rewound root with other batches than before and is started
// again after each until it has passed every version that was ever there: its totals
// are right. The same with newer snapshots left behind is silently wrong now and then,
// so this is known to be able to fail.
func TestSimulatedQueriesAreRightAfterARewind(t *testing.T) {
	rewinds, copies, controls, wrong := 0, 0, 0, 0
	for seed := range uint64(26) {
		rng := rand.New(rand.NewPCG(seed, 11))
		settings, files := sparksim.Draw(rng), sparksim.NewFiles()
		q, err := sparksim.Start(files, settings, rng)
		if err != nil {
			t.Fatal(err)
		}
		for range 400 + rng.IntN(500) {
			q.Step()
		}
		batch, ok := sparksim.DrawRewind(files, settings, rng)
		if !ok {
			continue
		}
		dir := toDisk(t, files)
		other := filepath.Join(t.TempDir(), "copy")
		r := rewindOf(dir, batch)
		r.Level, r.CopyTo = checkpoint.LevelStructure, other
		run(t, r)
		copies++
		r.CopyTo = ""
		result := run(t, r)
		rewinds++
		for what, at := range map[string]string{"in place": dir, "copy": other} {
			if err := sparksim.Judge(fromDisk(t, at), settings, rng); err != nil {
				t.Errorf("seed %d, batch %d, %s: %+v: %v", seed, batch, what, settings, err)
			}
		}
		if leaveSnapshots(t, dir, result.Trash) > 0 {
			controls++
			if err := sparksim.Judge(fromDisk(t, dir), settings, rng); errors.Is(err, sparksim.ErrWrong) {
				wrong++
			}
		}
	}
	t.Logf("%d rewinds and %d copies; of %d with newer snapshots left behind %d are wrong", rewinds, copies, controls, wrong)
	if rewinds < 15 || controls < 8 || wrong == 0 {
		t.Errorf("%d rewinds; of %d with newer snapshots left behind %d are wrong", rewinds, controls, wrong)
	}
}

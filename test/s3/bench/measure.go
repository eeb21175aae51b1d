// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Phases that are measured.
const (
	firstCopy  = "first copy"
	unchanged  = "nothing changed"
	increment  = "100 files more"
	getItBack  = "restore"
	roundsRest = 2 // batches of the increment, one file for each of 50 partitions
)

func (b *bench) measure(ctx context.Context) (report *report, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	url, stop, err := b.serve(ctx, filepath.Join(b.scratch, "server"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	report, err = b.newReport(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.pilot(ctx, url, report); err != nil {
		return report, err
	}
	if b.small > 0 {
		if err := b.one(ctx, url, report, fmt.Sprintf("%d small files", b.small), small(b.small), b.tools(report, true)); err != nil {
			return report, err
		}
	}
	if b.million {
		err = b.one(ctx, url, report, "1000000 small files", small(1_000_000), b.tools(report, false))
	}
	report.LoadAfter = loadAverage()
	return report, err
}

// tools are the bare loop, the agent, and the peers.
func (b *bench) tools(r *report, withOthers bool) []tool {
	tools := []tool{agentTool(b.agent)}
	if withOthers {
		tools = append([]tool{bareTool(b.self)}, tools...)
		tools = append(tools, r.peers...)
	}
	return tools
}

// pilot measures the tree of 5,000 files, everything as often as asked for and by
// turns, so that a slow minute of the machine falls on all.
func (b *bench) pilot(ctx context.Context, url string, r *report) error {
	for i := range b.runs {
		t, err := newTree(filepath.Join(b.scratch, "tree"), pilot())
		if err != nil {
			return err
		}
		tr := r.tree("5000 files", t)
		for _, tool := range b.tools(r, true) {
			at, err := b.place(url, fmt.Sprintf("bench-%d", i), t.dir)
			if err != nil {
				return err
			}
			if err := b.way(ctx, tr, tool, at); err != nil {
				return err
			}
			if tool.name == "agent" {
				if err := b.twice(ctx, tr, tool, at, t); err != nil {
					return err
				}
			}
			if err := b.clean(at); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(t.dir); err != nil {
			return err
		}
		fmt.Printf("run %d of %d is done, load %.1f\n", i+1, b.runs, loadAverage())
	}
	return nil
}

// one measures a tree once.
func (b *bench) one(ctx context.Context, url string, r *report, title string, s shape, tools []tool) error {
	t, err := newTree(filepath.Join(b.scratch, "tree"), s)
	if err != nil {
		return err
	}
	tr := r.tree(title, t)
	for _, tool := range tools {
		at, err := b.place(url, "once", t.dir)
		if err != nil {
			return err
		}
		if err := errors.Join(b.way(ctx, tr, tool, at), b.clean(at)); err != nil {
			return err
		}
	}
	return os.RemoveAll(t.dir)
}

func (b *bench) place(url, bucket, dir string) (place, error) {
	at := place{url: url, bucket: bucket, dir: dir, target: filepath.Join(b.scratch, "target")}
	return at, errors.Join(os.MkdirAll(filepath.Join(b.buckets, bucket), 0o755), os.MkdirAll(at.target, 0o755))
}

func (b *bench) clean(at place) error {
	return errors.Join(os.RemoveAll(filepath.Join(b.buckets, at.bucket)), os.RemoveAll(filepath.Join(b.scratch, "server", "metadata", at.bucket)),
		os.RemoveAll(at.target), os.RemoveAll(filepath.Join(b.scratch, "restic-cache")))
}

// way is a first copy, runs with nothing changed, and the way back.
func (b *bench) way(ctx context.Context, tr *treeResult, t tool, at place) error {
	if t.prepare != nil {
		if _, _, err := b.run(ctx, t, t.prepare(at)); err != nil {
			return err
		}
	}
	out, err := b.take(ctx, tr, firstCopy, t, t.backup(at))
	if err != nil {
		return err
	}
	if t.name == "agent" {
		if err := tr.sent(out, firstCopy); err != nil {
			return err
		}
	}
	if t.name != "bare loop" {
		for range b.repeats {
			if _, err := b.take(ctx, tr, unchanged, t, t.backup(at)); err != nil {
				return err
			}
		}
	}
	if _, err := b.take(ctx, tr, getItBack, t, t.restore(at)); err != nil {
		return err
	}
	return expectFiles(at.target, tr.Files)
}

// twice adds files and backs them up, and notes what was sent.
func (b *bench) twice(ctx context.Context, tr *treeResult, t tool, at place, root *tree) error {
	if err := root.goOn(roundsRest); err != nil {
		return err
	}
	out, err := b.take(ctx, tr, increment, t, t.backup(at))
	if err != nil {
		return err
	}
	return tr.sent(out, increment)
}

// sent notes what the agent says of its point.
func (tr *treeResult) sent(out []byte, phase string) error {
	var result struct {
		Point struct{ Files, Bytes, SentFiles, SentBytes int64 }
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return fmt.Errorf("what the agent printed: %w", err)
	}
	if tr.Sent == nil {
		tr.Sent = map[string]int64{}
	}
	tr.Sent[phase] = result.Point.SentFiles
	return nil
}

func (b *bench) take(ctx context.Context, tr *treeResult, phase string, t tool, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	s, out, err := b.run(ctx, t, args)
	if err != nil {
		return nil, err
	}
	tr.add(phase, t.name, s)
	return out, nil
}

// expectFiles makes sure that a restore brought everything: a tool that does
// nothing is not fast.
func expectFiles(dir string, want int) error {
	found := 0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found++
		}
		return err
	})
	if err == nil && found < want-2 { // of the logs, a backup takes only the entries that are needed
		err = fmt.Errorf("restored are %d files of %d", found, want)
	}
	return err
}

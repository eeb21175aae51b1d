// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what bench-agent.json holds.
type report struct {
	Date string `json:"date"`
	CPUs int    `json:"cpus"`
	// LoadBefore and LoadAfter are the load average of the last minute.
	LoadBefore  float64           `json:"loadBefore"`
	LoadAfter   float64           `json:"loadAfter"`
	Concurrency int               `json:"concurrency"`
	Versions    map[string]string `json:"versions"`
	Trees       []*treeResult     `json:"trees"`
	Gates       []gate            `json:"gates"`

	peers []tool
}

type treeResult struct {
	Title   string           `json:"title"`
	Files   int              `json:"files"`
	Bytes   int64            `json:"bytes"`
	Figures []*figure        `json:"figures"`
	Sent    map[string]int64 `json:"agentSentFiles"`
}

// figure is one tool in one phase; the samples are in the order of the runs.
type figure struct {
	Phase   string   `json:"phase"`
	Tool    string   `json:"tool"`
	Samples []sample `json:"samples"`
	// Median, Least and Most seconds.
	Median float64 `json:"medianSeconds"`
	Least  float64 `json:"leastSeconds"`
	Most   float64 `json:"mostSeconds"`
	CPU    float64 `json:"medianCPUSeconds"`
	// RSS is the highest peak in MiB.
	RSS float64 `json:"peakRSSMiB"`
}

// gate is a ratio that must not be missed.
type gate struct {
	Name  string  `json:"name"`
	Found float64 `json:"found"`
	Least float64 `json:"least"`
	OK    bool    `json:"ok"`
}

func (b *bench) newReport(ctx context.Context) (*report, error) {
	r := &report{Date: time.Now().UTC().Format(time.RFC3339), CPUs: runtime.NumCPU(), LoadBefore: loadAverage(), Concurrency: concurrency, Versions: map[string]string{}}
	if b.withPeers {
		var err error
		if r.peers, err = peers(b.scratch); err != nil {
			return nil, err
		}
	}
	for _, t := range append([]tool{agentTool(b.agent)}, r.peers...) {
		version, err := t.versionOf(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w; hack/bench-packages.sh installs the peers, -peers=false leaves them out", err)
		}
		r.Versions[t.name] = version
	}
	return r, nil
}

func (r *report) tree(title string, t *tree) *treeResult {
	for _, tr := range r.Trees {
		if tr.Title == title {
			return tr
		}
	}
	tr := &treeResult{Title: title, Files: t.files, Bytes: t.bytes}
	r.Trees = append(r.Trees, tr)
	return tr
}

func (tr *treeResult) find(phase, tool string) *figure {
	for _, f := range tr.Figures {
		if f.Phase == phase && f.Tool == tool {
			return f
		}
	}
	return nil
}

func (tr *treeResult) add(phase, tool string, s sample) {
	f := tr.find(phase, tool)
	if f == nil {
		f = &figure{Phase: phase, Tool: tool}
		tr.Figures = append(tr.Figures, f)
	}
	f.Samples = append(f.Samples, s)
	seconds, cpu := []float64{}, []float64{}
	for _, s := range f.Samples {
		seconds, cpu = append(seconds, s.Seconds), append(cpu, s.CPU)
		f.RSS = max(f.RSS, s.RSS)
	}
	f.Median, f.CPU = median(seconds), median(cpu)
	f.Least, f.Most = slices.Min(seconds), slices.Max(seconds)
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// judge holds the figures against the bars.
func (r *report) judge() {
	r.Gates = nil
	at := func(name string, least, found float64) {
		r.Gates = append(r.Gates, gate{name, found, least, found >= least})
	}
	for _, tr := range r.Trees {
		ours := tr.find(firstCopy, "agent")
		for _, phase := range []string{firstCopy, getItBack} {
			mine, floor := tr.find(phase, "agent"), tr.find(phase, "bare loop")
			if mine != nil && floor != nil {
				at(tr.Title+": "+phase+", bare loop / agent", 0.7, floor.Median/mine.Median)
			}
		}
		for _, t := range r.peers {
			if peer := tr.find(firstCopy, t.name); peer != nil {
				at(tr.Title+": first copy, "+t.name+" / agent", 1, peer.Median/ours.Median)
			}
		}
		if n, ok := tr.Sent[increment]; ok {
			// A hundred deltas, and the two newest entries of offsets and the newest of
			// commits.
			at(tr.Title+": 103 files / files sent of an increment of 100", 1, 103/float64(n))
		}
	}
}

func (r *report) missed() error {
	var errs []error
	for _, g := range r.Gates {
		if !g.OK {
			errs = append(errs, fmt.Errorf("%s is %.2f; allowed is %.2f or more", g.Name, g.Found, g.Least))
		}
	}
	return errors.Join(errs...)
}

func (r *report) write(out string) error {
	r.judge()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(out, "bench-agent.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(out, "bench-agent.md"), []byte(r.markdown()), 0o644))
}

func (r *report) markdown() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s, %d CPUs, load %.1f before and %.1f after, %d transfers at a time; the S3 server has the same CPUs.\n", r.Date, r.CPUs, r.LoadBefore, r.LoadAfter, r.Concurrency)
	for _, t := range r.peers {
		fmt.Fprintf(&w, "%s: %s. ", t.name, r.Versions[t.name])
	}
	for _, tr := range r.Trees {
		fmt.Fprintf(&w, "\n\n%s, %d files of %.0f MiB in all; median (least to most) seconds\n\n| | runs | seconds | CPU s | peak RSS MiB |\n|---|---|---|---|---|\n", tr.Title, tr.Files, float64(tr.Bytes)/(1<<20))
		for _, phase := range []string{firstCopy, unchanged, increment, getItBack} {
			for _, f := range tr.Figures {
				if f.Phase == phase {
					fmt.Fprintf(&w, "| %s, %s | %d | %.2f (%.2f to %.2f) | %.2f | %.0f |\n", phase, f.Tool, len(f.Samples), f.Median, f.Least, f.Most, f.CPU, f.RSS)
				}
			}
		}
	}
	w.WriteString("\n| ratio | found | bar |\n|---|---|---|\n")
	for _, g := range r.Gates {
		fmt.Fprintf(&w, "| %s | %.2f | %.2f |\n", g.Name, g.Found, g.Least)
	}
	return w.String()
}

// SPDX-License-Identifier: Apache-2.0

// Package report gathers what the bench measured, writes it as JSON and Markdown,
// and judges it.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sparkpipeline.dev/operator/bench/audit"
)

// Series are the values of one figure at one N, one a run.
type Series struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Runs   []float64 `json:"runs"`
}

// Machine is what the figures in seconds are to be read with.
type Machine struct {
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
	// Load is the average number of processes that wanted to run, over a minute,
	// at the begin and the end of the bench.
	LoadBefore float64 `json:"loadBefore"`
	LoadAfter  float64 `json:"loadAfter"`
}

// Report is the outcome of a bench.
type Report struct {
	Date    time.Time `json:"date"`
	Seconds float64   `json:"seconds"`
	Machine Machine   `json:"machine"`
	// Figures by name and N.
	Figures map[string]map[int]*Series `json:"figures"`
	// Requests of each phase and actor in the last run at each N.
	Requests map[string]map[int]audit.Counts `json:"requests"`
	// Notes are what a phase has to say beside its figures.
	Notes []string `json:"notes,omitempty"`
}

// New returns an empty report.
func New() *Report {
	return &Report{Date: time.Now().UTC(), Figures: map[string]map[int]*Series{}, Requests: map[string]map[int]audit.Counts{}}
}

// Add adds the value of a figure in one run.
func (r *Report) Add(name string, n int, value float64) {
	if r.Figures[name] == nil {
		r.Figures[name] = map[int]*Series{}
	}
	s := r.Figures[name][n]
	if s == nil {
		s = &Series{}
		r.Figures[name][n] = s
	}
	s.Runs = append(s.Runs, value)
	sorted := slices.Sorted(slices.Values(s.Runs))
	s.Min, s.Max, s.Median = sorted[0], sorted[len(sorted)-1], Percentile(sorted, 50)
}

// Note adds a remark.
func (r *Report) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// AddRequests keeps the requests of a phase.
func (r *Report) AddRequests(phase string, n int, c audit.Counts) {
	if r.Requests[phase] == nil {
		r.Requests[phase] = map[int]audit.Counts{}
	}
	r.Requests[phase][n] = c
}

// Value is the median of a figure at one N; false when it was not measured.
func (r *Report) Value(name string, n int) (float64, bool) {
	s := r.Figures[name][n]
	if s == nil {
		return 0, false
	}
	return s.Median, true
}

// Percentile of sorted values by the nearest rank; the 50th of an even number is
// the mean of the two in the middle. It is 0 without values.
func Percentile(sorted []float64, percent float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	if percent == 50 && len(sorted)%2 == 0 {
		return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
	}
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// headline nests the figures: group, then name, at the N that each is judged at.
func (r *Report) headline() map[string]map[string]float64 {
	out := map[string]map[string]float64{}
	for name := range r.Figures {
		group, figure, _ := strings.Cut(name, ".")
		if out[group] == nil {
			out[group] = map[string]float64{}
		}
		out[group][figure] = r.Figures[name][r.judgedAt(name)].Median
	}
	return out
}

// judgedAt is the N at which a figure is shown: what the table of bars says if it
// was measured there, else the largest.
func (r *Report) judgedAt(name string) int {
	for _, b := range Bars {
		if b.Figure == name && r.Figures[name][b.N] != nil {
			return b.N
		}
	}
	n := 0
	for at := range r.Figures[name] {
		n = max(n, at)
	}
	return n
}

// Write writes bench.json and bench.md into dir.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the report: %w", err)
	}
	content := map[string]any{"report": r}
	for group, figures := range r.headline() {
		content[group] = figures
	}
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.md"), []byte(r.Markdown()), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

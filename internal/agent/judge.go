// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
)

// phaseJudge is when restored roots are verified.
const phaseJudge backup.Phase = "judge"

// judgedRoot is what was found in one restored query root.
type judgedRoot struct {
	Root string `json:"root"`
	// Path of the root in the target.
	Path     string               `json:"path"`
	Healthy  bool                 `json:"healthy"`
	Findings []checkpoint.Finding `json:"findings"`
}

// rootJudge verifies restored roots, as if they stood where they will be used.
type rootJudge struct {
	target string
	// as is where the target will be used; empty: where it is.
	as       string
	level    int
	progress *progress

	roots []judgedRoot
}

// record is a backup.RestoreOptions.Judge.
func (j *rootJudge) record(ctx context.Context, record *backup.RestoreRecord) error {
	j.roots = nil
	var bad []error
	for _, root := range record.Roots {
		judged, err := j.root(ctx, root)
		if err != nil {
			return fmt.Errorf("query root %s: %w", root.Root, err)
		}
		j.roots = append(j.roots, judged)
		if !judged.Healthy {
			bad = append(bad, fmt.Errorf("query root %s would not start: %s", root.Root, worst(judged.Findings)))
		}
	}
	return withCode(CodeFinding, errors.Join(bad...))
}

func (j *rootJudge) root(ctx context.Context, root backup.RootInfo) (judgedRoot, error) {
	place := filepath.Join(j.target, filepath.FromSlash(root.Root))
	judged := judgedRoot{Root: root.Root, Path: place}
	src, err := checkpoint.OpenDir(place)
	if err != nil {
		return judged, err
	}
	defer src.Close()
	options := checkpoint.Options{Level: j.level, Place: filepath.Join(first(j.as, j.target), filepath.FromSlash(root.Root))}
	options.Progress = func(files int, bytes int64) {
		j.progress.report(backup.Progress{Phase: phaseJudge, Root: root.Root, Files: int64(files), Bytes: bytes})
	}
	report, err := checkpoint.Verify(ctx, src, options)
	if err != nil {
		return judged, err
	}
	judged.Healthy, judged.Findings = report.Healthy, report.Findings
	if report.LastCommit == nil || *report.LastCommit != root.Batch {
		return judged, fmt.Errorf("%w: its newest commit is not batch %d, of which the point is", backup.ErrDamaged, root.Batch)
	}
	return judged, nil
}

// worst names the first errors among findings.
func worst(findings []checkpoint.Finding) string {
	const most = 3
	var texts []string
	for _, f := range findings {
		if f.Severity != checkpoint.SeverityError {
			continue
		}
		if len(texts) == most {
			texts = append(texts, "and more")
			break
		}
		texts = append(texts, fmt.Sprintf("%s: %s (%s)", f.Path, f.Message, f.Kind))
	}
	return strings.Join(texts, "; ")
}

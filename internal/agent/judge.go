// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
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
	Path string `json:"path"`
	// Rewritten files of the root named the place where it was made.
	Rewritten []string             `json:"rewritten,omitempty"`
	Healthy   bool                 `json:"healthy"`
	Findings  []checkpoint.Finding `json:"findings"`
}

// rootJudge makes restored roots fit for where they will be used, and verifies them
// as if they stood there.
type rootJudge struct {
	target restoreTarget
	// as is where the target will be used: a path or a URI.
	as       string
	level    int
	progress *progress

	roots []judgedRoot
}

// record is a backup.RestoreOptions.Judge.
func (j *rootJudge) record(ctx context.Context, record *backup.RestoreRecord) error {
	j.roots, record.Rewritten = nil, nil
	var bad []error
	for _, root := range record.Roots {
		judged, err := j.root(ctx, root)
		if err != nil {
			return fmt.Errorf("query root %s: %w", root.Root, err)
		}
		for _, name := range judged.Rewritten {
			record.Rewritten = append(record.Rewritten, path.Join(root.Root, name))
		}
		j.roots = append(j.roots, judged)
		if !judged.Healthy {
			bad = append(bad, fmt.Errorf("query root %s would not start: %s", root.Root, worst(judged.Findings)))
		}
	}
	return withCode(CodeFinding, errors.Join(bad...))
}

func (j *rootJudge) root(ctx context.Context, root backup.RootInfo) (judgedRoot, error) {
	judged := judgedRoot{Root: root.Root, Path: j.target.place(root.Root)}
	used := placeBelow(j.as, root.Root)
	var err error
	if judged.Rewritten, err = j.target.relocate(ctx, root.Root, used); err != nil {
		return judged, err
	}
	src, done, err := j.target.reader(root.Root)
	if err != nil {
		return judged, err
	}
	defer done()
	options := checkpoint.Options{Level: j.level, Place: used}
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

// placeBelow is the place of a query root below a path or a URI.
func placeBelow(place, root string) string {
	if root == "." {
		return place
	}
	return strings.TrimSuffix(place, "/") + "/" + root
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

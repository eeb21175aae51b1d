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
	"sparkpipeline.dev/operator/internal/kafka"
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
	// Kafka is what was found of the topics that the query reads.
	Kafka []kafka.Finding `json:"kafka,omitempty"`
}

// rootJudge makes restored roots fit for where they will be used, and verifies them
// as if they stood there.
type rootJudge struct {
	target restoreTarget
	// as is where the target will be used: a path or a URI.
	as       string
	level    int
	progress *progress
	kafka    *brokers
	// accept are kinds of findings about Kafka that are no obstacle.
	accept []string
	// begun is told when everything is there and the judgement begins; nil: nobody.
	begun func()

	roots []judgedRoot
}

// record is a backup.RestoreOptions.Judge.
func (j *rootJudge) record(ctx context.Context, record *backup.RestoreRecord) error {
	if j.begun != nil {
		j.begun()
	}
	j.roots, record.Rewritten = nil, nil
	var bad, unread []error
	record.Accepted = nil
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
			continue
		}
		for _, f := range judged.Kafka {
			if f.Accepted {
				record.Accepted = append(record.Accepted, fmt.Sprintf("%s: %s: %s", root.Root, f.Kind, f.Message))
			}
		}
		if err := unfit(judged.Kafka); err != nil {
			unread = append(unread, fmt.Errorf("query root %s would not go on with its Kafka sources: %w", root.Root, err))
		}
	}
	if len(bad) > 0 {
		return withCode(CodeFinding, errors.Join(bad...))
	}
	if len(unread) > 0 {
		return withCode(CodeOf(unread[0]), fmt.Errorf("%w; correct that and run the same command again, or accept it by --accept-kafka KIND", errors.Join(unread...)))
	}
	return nil
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
	if judged.Healthy {
		judged.Kafka, err = judgeKafka(ctx, j.kafka, src, recordedTopics(root.Topics), j.accept)
	}
	return judged, err
}

// judgeKafka judges the Kafka sources of a root.
func judgeKafka(ctx context.Context, ask *brokers, src checkpoint.Source, recorded map[string]kafka.Topic, accept []string) ([]kafka.Finding, error) {
	root, err := checkpoint.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	spans, err := root.KafkaNext(ctx)
	if err != nil {
		return nil, err
	}
	return ask.judge(ctx, spans, recorded, accept)
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

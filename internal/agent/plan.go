// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/kafka"
)

// planner computes the cuts of all query roots of a pipeline.
type planner struct {
	at location
	// declared roots; empty: they are discovered.
	declared []string
	// required roots were in the point before: without them the new point would
	// take their place and keep nothing of them.
	required []backup.RootInfo
	// sparkVersion that writes the roots.
	sparkVersion string
	// kafka is asked about the topics of the sources.
	kafka *brokers
	log   *slog.Logger

	// absent and skipped are what the last plan left out, by root.
	absent  map[string]string
	skipped map[string][]int64
	// findings about Kafka, by root. unknown is why the brokers told nothing.
	findings map[string][]kafka.Finding
	unknown  error

	opened []*source
}

// plan is a backup.Plan.
func (p *planner) plan(ctx context.Context) ([]backup.Cut, error) {
	p.absent, p.skipped, p.findings = map[string]string{}, map[string][]int64{}, map[string][]kafka.Finding{}
	roots := p.declared
	if len(roots) == 0 {
		var err error
		if roots, err = discover(ctx, p.at); err != nil {
			return nil, err
		}
	}
	var cuts []backup.Cut
	for _, root := range roots {
		cut, err := p.root(ctx, root)
		if reason := absence(err); reason != "" {
			p.absent[root] = reason
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("query root %s: %w", p.at.place(root), judged(err))
		}
		cuts = append(cuts, cut)
	}
	return cuts, p.complete(cuts)
}

func (p *planner) root(ctx context.Context, root string) (backup.Cut, error) {
	src, err := p.at.root(root)
	if err != nil {
		return backup.Cut{}, err
	}
	p.opened = append(p.opened, src)
	info := backup.RootInfo{Root: path.Clean(root), SparkVersion: p.sparkVersion, Location: p.at.place(root)}
	cut, read, skipped, err := src.cut(ctx, info)
	if len(skipped) > 0 {
		p.skipped[root] = skipped
	}
	if err == nil {
		cut.Topics, err = p.topics(ctx, root, read)
	}
	return cut, err
}

// topics asks the brokers about what a cut goes on with. Whatever they say, or do
// not, is no reason for no recovery point; it is recorded, and told. Brokers that
// did not answer are not asked again, for each question takes time from the copy.
func (p *planner) topics(ctx context.Context, root string, read []checkpoint.KafkaSpan) ([]backup.Topic, error) {
	if len(read) == 0 || !p.kafka.given() {
		return nil, nil
	}
	var told map[string]kafka.Topic
	if p.unknown == nil {
		topics, err := p.kafka.topics(ctx, checkpoint.KafkaTopics(read))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if told = topics; err != nil {
			p.unknown = err
			p.log.Warn("Nothing is known of the Kafka topics, so a restore cannot tell whether they were created again", "error", err)
		}
	}
	if p.unknown != nil {
		p.findings[root] = []kafka.Finding{kafka.Failure(p.unknown)}
		return recordTopics(read, nil, p.unknown), nil
	}
	before := backup.RootInfo{}
	for _, required := range p.required {
		if required.Root == path.Clean(root) {
			before = required
		}
	}
	for _, f := range kafka.Judge(read, told, recordedTopics(before.Topics)) {
		if f.Severity == kafka.SeverityInfo {
			continue
		}
		p.findings[root] = append(p.findings[root], f)
		p.log.Warn("The checkpoint does not fit Kafka", "root", root, "kind", string(f.Kind), "message", f.Message)
	}
	return recordTopics(read, told, nil), nil
}

// absence says why a root has nothing to back up yet, which is no fault: a query
// that was never started has no root, and one that just was has no batch.
func absence(err error) string {
	switch {
	case err == nil || errors.Is(err, backup.ErrOvertaken):
		return ""
	case errors.Is(err, checkpoint.ErrNoRoot):
		return "it is empty"
	case errors.Is(err, errNothingCommitted):
		return "no batch is committed yet"
	case errors.Is(err, fs.ErrNotExist):
		return "it does not exist"
	default:
		return ""
	}
}

// judged makes a finding of a root that has batches and none to go on with.
func judged(err error) error {
	if errors.Is(err, checkpoint.ErrNothingRestorable) {
		return withCode(CodeFinding, err)
	}
	return err
}

// complete refuses a point without any root, and one that lacks what the point
// before had.
func (p *planner) complete(cuts []backup.Cut) error {
	for _, before := range p.required {
		if lost := p.lost(before, cuts); lost != "" {
			return withCode(CodeFinding, fmt.Errorf("query root %s is in the newest point, but now %s: restore it, or let it go with --without %s",
				p.at.place(before.Root), lost, before.Root))
		}
	}
	if len(cuts) > 0 {
		return nil
	}
	for root, reason := range p.absent {
		return fmt.Errorf("query root %s: %s: %w", p.at.place(root), reason, backup.ErrNothing)
	}
	return backup.ErrNothing
}

// lost says what a root does not have any more. A root whose state is gone looks
// like one of a query without state; only the point before tells.
func (p *planner) lost(before backup.RootInfo, cuts []backup.Cut) string {
	stateless := checkpoint.ProviderNone.String()
	for _, now := range cuts {
		if now.Root != before.Root {
			continue
		}
		if now.QueryID == before.QueryID && now.Provider == stateless && before.Provider != stateless {
			return "its state is gone"
		}
		return ""
	}
	if reason := p.absent[before.Root]; reason != "" {
		return reason
	}
	return "it was not found"
}

// close closes what any plan opened.
func (p *planner) close() error {
	var errs []error
	for _, src := range p.opened {
		errs = append(errs, src.close())
	}
	p.kafka.close()
	return errors.Join(errs...)
}

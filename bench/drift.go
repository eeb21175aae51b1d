// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/bench/audit"
	"sparkpipeline.dev/operator/bench/observer"
	"sparkpipeline.dev/operator/bench/report"
)

const (
	// edits and deletions are how many children drift one after another.
	edits     = 200
	deletions = 50
	foreign   = 50
	// stormSize is how many drift at once.
	stormSize = 100
	// repairLimit is how long one repair may take before the bench gives up.
	repairLimit = 30 * time.Second
)

// notRepaired are the kinds that drift repair leaves alone: what holds data, what
// is posted once, and the application, which is replaced.
var notRepaired = []string{"PersistentVolumeClaim", "Secret", "SparkApplication", "ControllerRevision", "Namespace"}

// editOf is an edit of a field that the operator owns, by kind. Of kinds without a
// row a label of the operator is edited.
var editOf = map[string]string{
	"ConfigMap":               `{"data":null}`,
	"CronJob":                 `{"spec":{"schedule":"1 1 1 1 1"}}`,
	"Service":                 `{"spec":{"selector":{"sparkpipeline.dev/pipeline":"somebody"}}}`,
	"RoleBinding":             `{"subjects":[]}`,
	"HorizontalPodAutoscaler": `{"spec":{"maxReplicas":99}}`,
	"PrometheusRule":          `{"spec":{"groups":[]}}`,
}

func edit(kind string) []byte {
	if patch, ok := editOf[kind]; ok {
		return []byte(patch)
	}
	return []byte(`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"somebody"}}}`)
}

// repairable lists children of pipelines in turn, so that n of them are spread
// over pipelines and kinds.
func (p *pass) repairable(n int) ([]observer.Change, error) {
	byPipeline := make([][]observer.Change, min(p.n, n))
	err := p.observer.View(func(v observer.View) error {
		for i := range byPipeline {
			byPipeline[i] = slices.DeleteFunc(v.Of(p.keys[i]), func(c observer.Change) bool {
				return slices.Contains(notRepaired, c.Key.Kind.Kind)
			})
			if len(byPipeline[i]) == 0 {
				return fmt.Errorf("%s has no child to drift", p.keys[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]observer.Change, n)
	for i := range out {
		of := byPipeline[i%len(byPipeline)]
		out[i] = of[(i/len(byPipeline)+i)%len(of)]
	}
	return out, nil
}

func (p *pass) drift(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.driftEdits, p.driftDeletions, p.driftForeign, p.driftStorm} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// driftEdits edits children one after another.
func (p *pass) driftEdits(ctx context.Context) error {
	waits, c, others, err := p.series(ctx, edits, 1, p.spoil, repaired)
	if err != nil {
		return err
	}
	p.report.AddRequests("drift: edits", p.n, c)
	p.add("drift.p50Ms", report.Percentile(waits, 50))
	p.add("drift.p99Ms", report.Percentile(waits, 99))
	p.add("drift.appliesPerDrift", float64(c.Verb("apply"))/edits)
	p.add("drift.readsPerEdit", float64(c.Reads)/edits)
	p.add("drift.otherWritesPerEdit", float64(c.Writes-c.Verb("apply"))/edits)
	p.add("drift.eventsPerEdit", float64(c.Events)/edits)
	p.add("drift.othersTouched", float64(others))
	p.say("  requests: %s", c)
	return nil
}

func (p *pass) driftDeletions(ctx context.Context) error {
	waits, c, others, err := p.series(ctx, deletions, 1, p.destroy, recreated)
	if err != nil {
		return err
	}
	p.report.AddRequests("drift: deletions", p.n, c)
	p.add("drift.deletedP50Ms", report.Percentile(waits, 50))
	p.add("drift.deletedP99Ms", report.Percentile(waits, 99))
	p.add("drift.appliesPerDeletion", float64(c.Verb("apply"))/deletions)
	p.add("drift.readsPerDeletion", float64(c.Reads)/deletions)
	p.add("drift.statusPatchesPerDeletion", float64(c.By["patch sparkpipelines/status"])/deletions)
	p.add("drift.othersTouchedByDeletion", float64(others))
	p.say("  requests: %s", c)
	return nil
}

// driftForeign adds fields of somebody's own.
func (p *pass) driftForeign(ctx context.Context) error {
	_, c, _, err := p.series(ctx, foreign, sideBySide, p.decorate, nil)
	if err != nil {
		return err
	}
	p.report.AddRequests("drift: foreign fields", p.n, c)
	p.add("drift.requestsPerForeignField", float64(c.Work())/foreign)
	return nil
}

// driftStorm edits a child of many pipelines at once.
func (p *pass) driftStorm(ctx context.Context) error {
	waits, c, _, err := p.series(ctx, stormSize, stormSize, p.spoil, repaired)
	if err != nil {
		return err
	}
	p.report.AddRequests("drift: storm", p.n, c)
	p.add("drift.stormP50Ms", report.Percentile(waits, 50))
	p.add("drift.stormP99Ms", report.Percentile(waits, 99))
	p.add("drift.stormAppliesPerDrift", float64(c.Verb("apply"))/stormSize)
	return nil
}

// series lets n children drift, so many side by side, and waits for each until
// healed says how long its repair took. It answers with the waits in milliseconds,
// sorted, the operator's requests, and how many other objects changed.
func (p *pass) series(ctx context.Context, n, width int, do func(context.Context, observer.Change) error,
	healed func([]observer.Change, observer.Change) (time.Duration, bool)) ([]float64, audit.Counts, int, error) {
	fail := func(err error) ([]float64, audit.Counts, int, error) { return nil, audit.Counts{}, 0, err }
	targets, err := p.repairable(n)
	if err != nil {
		return fail(err)
	}
	if err := p.rest(ctx); err != nil {
		return fail(err)
	}
	mark, err := p.stage.Audit.Mark()
	if err != nil {
		return fail(err)
	}
	p.observer.Record()
	waits := make([]float64, n)
	err = inParallel(ctx, width, n, func(ctx context.Context, i int) error {
		// A child may be the target of more than one drift of a series.
		before, from, err := p.present(targets[i].Key)
		if err != nil {
			return err
		}
		if err := do(ctx, before); err != nil {
			return err
		}
		if healed == nil {
			return nil
		}
		took, err := p.awaitHealed(ctx, before, from, healed)
		waits[i] = ms(took)
		return err
	})
	if err != nil {
		return fail(err)
	}
	if err := p.rest(ctx); err != nil {
		return fail(err)
	}
	requests, err := p.requests(mark)
	if err != nil {
		return fail(err)
	}
	others, example := p.touched(func(k observer.Key) bool {
		return slices.ContainsFunc(targets, func(c observer.Change) bool { return c.Key == k })
	})
	if others > 0 {
		p.say("  %d others changed, such as %s", others, example)
	}
	slices.Sort(waits)
	return waits, audit.Count(requests), others, nil
}

// present is an object as it is now, and the place in the history after which its
// drift will be.
func (p *pass) present(k observer.Key) (observer.Change, int, error) {
	var found observer.Change
	from := p.observer.Place()
	err := p.observer.View(func(v observer.View) error {
		var ok bool
		if found, ok = v.Object(k); !ok {
			return fmt.Errorf("%s is not there", k)
		}
		return nil
	})
	return found, from, err
}

func (p *pass) awaitHealed(ctx context.Context, before observer.Change, from int,
	healed func([]observer.Change, observer.Change) (time.Duration, bool)) (time.Duration, error) {
	var took time.Duration
	err := p.observer.Await(ctx, repairLimit, before.Key.String()+" is repaired", func(v observer.View) error {
		var ok bool
		if took, ok = healed(v.Changes(before.Key, from), before); !ok {
			return errors.New("it is not")
		}
		return nil
	})
	return took, err
}

// repaired finds an edit, by which the operator's entry changes, and the write by
// which it is as before.
func repaired(changes []observer.Change, before observer.Change) (time.Duration, bool) {
	var broken time.Time
	for _, c := range changes {
		switch {
		case c.Gone || c.Version == before.Version:
		case c.Entry != before.Entry && broken.IsZero():
			broken = c.At
		case c.Entry == before.Entry && !broken.IsZero():
			return c.At.Sub(broken), true
		}
	}
	return 0, false
}

// recreated finds a deletion and the object that came in its place.
func recreated(changes []observer.Change, before observer.Change) (time.Duration, bool) {
	var gone time.Time
	for _, c := range changes {
		switch {
		case c.Gone:
			gone = c.At
		case c.UID != before.UID && !gone.IsZero():
			return c.At.Sub(gone), true
		}
	}
	return 0, false
}

func (p *pass) spoil(ctx context.Context, c observer.Change) error {
	return p.patchChild(ctx, c, edit(c.Key.Kind.Kind))
}

func (p *pass) decorate(ctx context.Context, c observer.Change) error {
	return p.patchChild(ctx, c, []byte(`{"metadata":{"labels":{"somebody.example.com/note":"x"},"annotations":{"somebody.example.com/note":"x"}}}`))
}

func (p *pass) patchChild(ctx context.Context, c observer.Change, patch []byte) error {
	err := p.somebody.Patch(ctx, p.metadata(c.Key), client.RawPatch(types.MergePatchType, patch), client.FieldOwner("somebody"))
	if err != nil {
		return fmt.Errorf("edit %s: %w", c.Key, err)
	}
	return nil
}

func (p *pass) destroy(ctx context.Context, c observer.Change) error {
	if err := p.somebody.Delete(ctx, p.metadata(c.Key), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return fmt.Errorf("delete %s: %w", c.Key, err)
	}
	return nil
}

func (p *pass) metadata(k observer.Key) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name}}
	i := slices.IndexFunc(p.kinds, func(m meta.RESTMapping) bool { return m.GroupVersionKind.GroupKind() == k.Kind })
	if i < 0 {
		m.SetGroupVersionKind(schema.GroupVersionKind{Group: k.Kind.Group, Kind: k.Kind.Kind})
		return m
	}
	m.SetGroupVersionKind(p.kinds[i].GroupVersionKind)
	return m
}

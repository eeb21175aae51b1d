// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// writesPerSecond is the most that a fight over one child may cost, averaged over
// the fight.
const writesPerSecond = 3

// Somebody who writes a value of ours again each time that it was repaired makes no
// hot loop and one Event, and loses when he stops. Values that are his stay.
func TestFightForFields(t *testing.T) {
	const fight = 10 * time.Second
	for _, c := range []struct {
		manager string
		gvk     schema.GroupVersionKind
		name    string
		// theirs is written where nobody else writes, ours over a value of ours.
		theirs, ours string
		path         []string
		want         any
	}{
		{"kubectl-edit", schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}, pipelineName,
			`{"metadata":{"annotations":{"note":"mine"}}}`, `{"spec":{"maxReplicas":99}}`, []string{"spec", "maxReplicas"}, int64(20)},
		{"argocd-controller", schema.GroupVersionKind{Version: "v1", Kind: "Service"}, pipelineName + "-web",
			`{"metadata":{"labels":{"app.kubernetes.io/instance":"argo"}}}`, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"argocd"}}}`,
			[]string{"metadata", "labels", managed}, "sparkpipeline-operator"},
		{"vpa-updater", schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, pipelineName + "-history",
			`{"metadata":{"annotations":{"vpaUpdates":"seen"}}}`, `{"spec":{"replicas":3}}`, []string{"spec", "replicas"}, int64(1)},
	} {
		t.Run(c.manager, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
			defer cancel()
			r, err := newRun(ctx, false)
			must(t, err)
			defer func() {
				r.end()
				r.complain(t)
			}()
			must(t, prepare(ctx, r, workload{}))
			read := func() *unstructured.Unstructured {
				o := &unstructured.Unstructured{}
				o.SetGroupVersionKind(c.gvk)
				must(t, base.admin.Get(ctx, client.ObjectKey{Namespace: r.workload, Name: c.name}, o))
				return o
			}
			value := func(o *unstructured.Unstructured) any {
				v, _, err := unstructured.NestedFieldNoCopy(o.Object, c.path...)
				must(t, err)
				return v
			}
			write := func(patch string) {
				must(t, base.admin.Patch(ctx, read(), client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(c.manager)))
			}
			first := value(read())
			if first != c.want {
				t.Fatalf("%v is %v before the fight, expected %v", c.path, first, c.want)
			}
			r.wire.arm(nil)
			write(c.theirs)
			rounds := 0
			for end := time.Now().Add(fight); time.Now().Before(end); {
				if value(read()) == c.want {
					write(c.ours)
					rounds++
				}
			}
			sent := 0
			r.wire.mu.Lock()
			for _, w := range r.wire.writes {
				if strings.HasPrefix(w.line, "PATCH") && strings.HasSuffix(w.line, "/"+c.name) {
					sent++
				}
			}
			all := len(r.wire.writes)
			r.wire.mu.Unlock()
			t.Logf("%d rounds in %s; the operator sent %d applies, %d writes in all", rounds, fight, sent, all)
			if limit := int(writesPerSecond * fight.Seconds()); all > limit {
				t.Errorf("%d writes in %s, expected at most %d", all, fight, limit)
			}
			if sent < 3 {
				t.Errorf("%d applies: the operator gave up", sent)
			}
			must(t, eventually(ctx, func() error {
				if got := value(read()); got != c.want {
					return fmt.Errorf("%v is %v after the fight, expected %v", c.path, got, c.want)
				}
				return nil
			}))
			must(t, r.quiet(ctx, quietAfter))
			if text := fmt.Sprint(read().Object["metadata"]); !strings.Contains(text, "mine") && !strings.Contains(text, "argo") && !strings.Contains(text, "seen") {
				t.Errorf("what is theirs is gone: %s", text)
			}
			told := &eventsv1.EventList{}
			must(t, base.admin.List(ctx, told, client.InNamespace(r.namespace)))
			var repairs []string
			for _, e := range told.Items {
				if e.Reason == "ChildRepaired" {
					repairs = append(repairs, e.Note)
				}
			}
			if len(repairs) != 1 {
				t.Errorf("%d Events tell of repairs, expected one: %v", len(repairs), repairs)
			}
		})
	}
}

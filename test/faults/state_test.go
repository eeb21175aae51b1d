// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// objects lists what there is of a run, in an order that does not differ from run
// to run.
func (r *run) objects() ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, gvr := range base.observer.resources() {
		found, err := base.observer.factory.ForResource(gvr).Lister().List(labels.Everything())
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			o := x.(*unstructured.Unstructured)
			in := o.GetNamespace() == r.namespace || o.GetNamespace() == r.workload ||
				o.GetKind() == "Namespace" && (o.GetName() == r.namespace || o.GetName() == r.workload) ||
				o.GetLabels()[desired.LabelPipelineNamespace] == r.namespace
			if in {
				out = append(out, o.DeepCopy())
			}
		}
	}
	slices.SortFunc(out, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(r.nameOf(a), r.nameOf(b)), cmp.Compare(version(a), version(b)))
	})
	return out, nil
}

func version(o *unstructured.Unstructured) uint64 {
	v, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// nameOf names an object without what differs from run to run.
func (r *run) nameOf(o *unstructured.Unstructured) string {
	return r.mask(o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName())
}

// state writes down all objects of a run without UIDs, versions and times. Digests
// depend on the namespace's name; each becomes a number, so that two places with
// the same digest are still seen to have the same.
func (r *run) state() (string, error) {
	all, err := r.objects()
	if err != nil {
		return "", err
	}
	names := map[string]string{}
	for _, o := range all {
		names[string(o.GetUID())] = "uid of " + r.nameOf(o)
	}
	var text strings.Builder
	for _, o := range all {
		normalise(o)
		line, err := json.MarshalIndent(o.Object, "", " ")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "--- %s\n%s\n", r.nameOf(o), line)
	}
	out := strings.ReplaceAll(text.String(), r.namespace, "NS")
	out = moment.ReplaceAllString(out, "TIME")
	out = uid.ReplaceAllStringFunc(out, func(u string) string { return cmp.Or(names[u], "uid of nothing there") })
	digests := map[string]string{}
	return hex.ReplaceAllStringFunc(out, func(d string) string {
		if digests[d] == "" {
			digests[d] = "digest " + strconv.Itoa(len(digests)+1)
		}
		return digests[d]
	}), nil
}

// normalise takes from an object what no two runs have in common, and of
// managedFields all but what the operator owns.
func normalise(o *unstructured.Unstructured) {
	var owned any
	for _, m := range o.GetManagedFields() {
		if m.Manager == apply.FieldManager && m.Subresource == "" && m.Operation == "Apply" {
			owned = string(m.FieldsV1.Raw)
		}
	}
	for _, field := range []string{"resourceVersion", "creationTimestamp", "managedFields"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	if owned != nil {
		o.Object["owned"] = owned
	}
	if o.GetKind() == "Secret" {
		data, _, _ := unstructured.NestedMap(o.Object, "data")
		for k, v := range data {
			data[k] = fmt.Sprintf("%d characters", len(v.(string)))
		}
		o.Object["data"] = data
	}
	if o.GetKind() == "Service" {
		delete(o.Object["spec"].(map[string]any), "clusterIP")
		delete(o.Object["spec"].(map[string]any), "clusterIPs")
	}
}

// tally counts what happened to the objects of a name.
type tally struct{ created, updated, deleted int }

// tallies counts creations, deletions, and updates of what somebody wants, which
// leaves out what controllers observe. The pipeline itself is left out: how often
// its status is written depends on how fast things go.
func (r *run) tallies() map[string]tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]tally{}
	for _, c := range r.history {
		if c.object().GetKind() == "SparkPipeline" {
			continue
		}
		name := r.nameOf(c.object())
		t := out[name]
		switch {
		case c.before == nil:
			t.created++
		case c.after == nil:
			t.deleted++
		case c.touched():
			t.updated++
		}
		out[name] = t
	}
	maps.DeleteFunc(out, func(_ string, t tally) bool { return t == tally{} })
	return out
}

// leaks looks for the values of Secrets outside of them.
func (r *run) leaks() ([]string, error) {
	all, err := r.objects()
	if err != nil {
		return nil, err
	}
	var values []string
	for _, o := range all {
		data, _, _ := unstructured.NestedStringMap(o.Object, "data")
		if o.GetKind() != "Secret" {
			continue
		}
		for _, v := range data {
			plain, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return nil, err
			}
			if len(plain) >= 8 {
				values = append(values, v, string(plain))
			}
		}
	}
	var out []string
	look := func(where, text string) {
		for _, v := range values {
			if strings.Contains(text, v) {
				out = append(out, "a value of a Secret is told in "+where)
			}
		}
	}
	for _, o := range all {
		if o.GetKind() == "Secret" {
			continue
		}
		text, err := json.Marshal(o.Object)
		if err != nil {
			return nil, err
		}
		look(r.nameOf(o), string(text))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.words {
		look("the log", line)
	}
	return out, nil
}

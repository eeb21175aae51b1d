// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

func TestNamespaceAllowed(t *testing.T) {
	for _, c := range []struct {
		list, namespace string
		want            bool
	}{
		{"", "prod", false},
		{"prod", "prod", true},
		{"stage, prod", "prod", true},
		{"prod-2", "prod", false},
		{"*", "prod", false},
	} {
		if got := NamespaceAllowed(c.list, c.namespace); got != c.want {
			t.Errorf("NamespaceAllowed(%q, %q) = %t", c.list, c.namespace, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	pipeline := func(namespace, name string, age time.Duration, change func(*v1alpha1.SparkPipelineSpec)) *v1alpha1.SparkPipeline {
		p := &v1alpha1.SparkPipeline{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name),
			CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age))}}
		change(&p.Spec)
		return p
	}
	at := func(location string) func(*v1alpha1.SparkPipelineSpec) {
		return func(s *v1alpha1.SparkPipelineSpec) { s.Checkpoint.Location = location }
	}
	in := func(namespace string) func(*v1alpha1.SparkPipelineSpec) {
		return func(s *v1alpha1.SparkPipelineSpec) { s.Namespace = namespace }
	}
	for _, c := range []struct {
		name     string
		p, other *v1alpha1.SparkPipeline
		want     bool
	}{
		{"the later one of the same location", pipeline("a", "p", 1, at("s3a://b/x")), pipeline("a", "q", 2, at("s3a://b/x")), true},
		{"not the earlier one", pipeline("a", "p", 2, at("s3a://b/x")), pipeline("a", "q", 1, at("s3a://b/x")), false},
		{"one below the other", pipeline("a", "p", 1, at("s3a://b/x/y")), pipeline("a", "q", 2, at("s3a://b/x")), true},
		{"one above the other", pipeline("a", "p", 1, at("s3a://b/x")), pipeline("a", "q", 2, at("s3a://b/x/y/")), true},
		{"not a longer name", pipeline("a", "p", 1, at("s3a://b/xy")), pipeline("a", "q", 2, at("s3a://b/x")), false},
		{"the same dedicated namespace", pipeline("a", "p", 1, in("prod")), pipeline("b", "q", 2, in("prod")), true},
		{"a namespace in which another pipeline lives", pipeline("a", "p", 1, in("b")), pipeline("b", "q", 2, in("")), true},
		{"the same age: by name", pipeline("b", "p", 1, in("prod")), pipeline("a", "q", 1, in("prod")), true},
		{"not with itself", pipeline("a", "p", 1, in("prod")), pipeline("a", "p", 1, in("prod")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Overlap(c.p, c.other); (got != "") != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"bytes"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// The data of a ControllerRevision is immutable: a run of another size has the
// same rendering and must give the same data.
func TestRevisionIsTheSameForEverySize(t *testing.T) {
	data := func(instances, generation int64) []byte {
		o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
			"image": "i", "executor": map[string]any{"instances": instances}}}}
		p := &v1alpha1.SparkPipeline{}
		p.Name, p.Generation = "orders", generation
		objects, err := revision(Input{Pipeline: p, Facts: Facts{Healthy: &Rendering{Object: o, Digest: "0123456789abcdef"}}})
		if err != nil || len(objects) != 1 || objects[0].GetName() != "orders-r-01234567" {
			t.Fatalf("got %v, %v", objects, err)
		}
		return objects[0].(*appsv1.ControllerRevision).Data.Raw
	}
	if a, b := data(5, 1), data(7, 2); !bytes.Equal(a, b) {
		t.Errorf("got %s and %s", a, b)
	}
}

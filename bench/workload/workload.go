// SPDX-License-Identifier: Apache-2.0

// Package workload makes the pipelines of the bench, and the same children as
// bare payloads for whoever applies them without the operator.
package workload

import (
	"bytes"
	_ "embed" // The pipeline.
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

//go:embed pipeline.yaml
var pipelineYAML []byte

const (
	// PerNamespace is how many pipelines share a namespace.
	PerNamespace = 20
	// locationEvery is which share of the pipelines keeps its state in a bucket:
	// their checkpoints have to be told apart from all others.
	locationEvery = 4
)

// Namespaces of n pipelines of a set.
func Namespaces(set string, n int) []string {
	var out []string
	for i := range (n + PerNamespace - 1) / PerNamespace {
		out = append(out, fmt.Sprintf("%s-%03d", set, i))
	}
	return out
}

// Key of the i-th pipeline of a set.
func Key(set string, i int) types.NamespacedName {
	return types.NamespacedName{Namespace: fmt.Sprintf("%s-%03d", set, i/PerNamespace), Name: fmt.Sprintf("orders-%04d", i)}
}

// Pipeline returns the i-th SparkPipeline of a set.
func Pipeline(set string, i int) (*unstructured.Unstructured, error) {
	p := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(pipelineYAML, &p.Object); err != nil {
		return nil, fmt.Errorf("read the bench's pipeline: %w", err)
	}
	key := Key(set, i)
	p.SetNamespace(key.Namespace)
	p.SetName(key.Name)
	if i%locationEvery == locationEvery-1 {
		err := unstructured.SetNestedField(p.Object,
			fmt.Sprintf("s3a://acme-pipeline-checkpoints/%s/%s", key.Namespace, key.Name), "spec", "checkpoint", "location")
		if err != nil {
			return nil, fmt.Errorf("write the bench's pipeline: %w", err)
		}
		unstructured.RemoveNestedField(p.Object, "spec", "checkpoint", "volume")
		unstructured.RemoveNestedField(p.Object, "spec", "checkpoint", "mountPath")
	}
	return p, nil
}

// Payload is a child as it is sent, and where it is sent to.
type Payload struct {
	GVK             schema.GroupVersionKind
	Namespace, Name string
	Body            []byte
	// Create: it is posted, as the operator does with what it never applies again.
	Create bool
}

// The inventory labels of payloads are spelled otherwise, at the same length:
// nobody but who applied them is to take an interest.
var (
	labelDomain = []byte("sparkpipeline.dev/")
	floorDomain = []byte("floorpipeline.dev/")
)

// Payloads returns what the operator would send for a pipeline that the API
// server has filled with defaults, its application last. The children are owned
// by a ConfigMap in place of the pipeline, for there is none.
func Payloads(scheme *runtime.Scheme, p *v1alpha1.SparkPipeline, ownerName string, ownerUID types.UID) ([]Payload, error) {
	p = p.DeepCopy()
	p.UID = ownerUID
	in := desired.Input{Pipeline: p, Facts: desired.Facts{Encryption: v1alpha1.SecurityAES}, Defaults: desired.Defaults{
		AgentImage: "sparkpipeline-operator:bench", VeleroNamespace: "velero",
		DedicatedNamespaces: true, Placement: desired.Presets()["none"],
	}}
	children, err := desired.Render(scheme, in)
	if err != nil {
		return nil, fmt.Errorf("render the children of %s: %w", p.Name, err)
	}
	application, err := desired.Application(scheme, in)
	if err != nil {
		return nil, fmt.Errorf("render the application of %s: %w", p.Name, err)
	}
	var out []Payload
	for _, c := range append(children, desired.Child{Object: application.Object, Once: true}) {
		payload, err := payload(c, ownerName)
		if err != nil {
			return nil, err
		}
		out = append(out, payload)
	}
	return out, nil
}

func payload(c desired.Child, ownerName string) (Payload, error) {
	o := c.Object.DeepCopy()
	owners := o.GetOwnerReferences()
	for i := range owners {
		owners[i].APIVersion, owners[i].Kind, owners[i].Name = "v1", "ConfigMap", ownerName
	}
	if len(owners) > 0 {
		o.SetOwnerReferences(owners)
	}
	body, err := json.Marshal(o.Object)
	if err != nil {
		return Payload{}, fmt.Errorf("encode %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return Payload{GVK: o.GroupVersionKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Create: c.Once,
		Body: bytes.ReplaceAll(body, labelDomain, floorDomain)}, nil
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Input is everything that a builder may look at.
type Input struct {
	Pipeline *v1alpha1.SparkPipeline
	Defaults Defaults
	Facts    Facts
}

// Facts are what builders have to know of the cluster. The zero value is a
// cluster in which nothing of the pipeline runs yet.
type Facts struct {
	// AppSelector is the value of the label spark-app-selector of the live
	// driver's pod, such as spark-0123…; empty while no driver lives.
	AppSelector string
	// Encryption is what spec.security.encryption came to: never Auto.
	Encryption v1alpha1.EncryptionLevel
	// Executors is the size that the next run starts with; 0 leaves it to the
	// spec. It is in no digest.
	Executors int32
	// APIServers are the addresses that the cluster's API server really listens
	// on, from its EndpointSlices.
	APIServers []Endpoint
	// Healthy is the running rendering if it is healthy and is the one that the
	// spec asks for; else nil.
	Healthy *Rendering
	// Bounds of scaling that are in force now; nil: those of the spec.
	Bounds *Bounds
	// Roots of the checkpoint that were seen with a committed batch: path -> the
	// newest batch seen.
	Roots map[string]int64
	// Reset says that somebody accepted the loss of the state at the next start.
	Reset bool
	// NoSnapshots says why the checkpoint's claim cannot be snapshotted in this
	// cluster; empty: it can, as far as is known.
	NoSnapshots string
	// Checkpoint is the name of the claim in force; empty for the first one.
	Checkpoint string
}

// Endpoint is an address and a TCP port.
type Endpoint struct {
	Address string
	Port    int32
}

// Object is a child as its builder writes it.
type Object interface {
	metav1.Object
	runtime.Object
}

// Child is one object of a pipeline, exactly as it is sent to the API server.
type Child struct {
	// Name of the registry entry that the child comes from.
	Name   string
	Object *unstructured.Unstructured
	// Wave in which it is applied; the children of a wave go out side by side.
	Wave int
	// Durable children hold data. They are removed only when the user asked.
	Durable bool
	// Once: the child is posted one time and never applied again.
	Once bool
	// Adopt: an object that carries the inventory labels is taken over although
	// the operator has never applied it.
	Adopt bool
	// Aside: the child only tells how the pipeline does. Its readiness is none of
	// the pipeline's.
	Aside bool
}

// InvalidError says that the spec cannot be built, and what would help. Only a
// new generation of the spec does.
type InvalidError struct {
	// Field is the path of the field, such as spec.executor.podTemplate.
	Field string
	// Found is the value found, in words.
	Found string
	// Allowed says what is allowed there.
	Allowed string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s: found %s; allowed: %s", e.Field, e.Found, e.Allowed)
}

// Render returns the children of in.Pipeline, in the order in which they are
// applied, exactly as they are sent. The SparkApplication is not among them: it
// is never applied, see Application.
//
// The error is an *InvalidError when the spec is at fault.
func Render(scheme *runtime.Scheme, in Input) ([]Child, error) {
	var out []Child
	for _, c := range children {
		objects, err := c.build(in)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", c.name, err)
		}
		for _, o := range objects {
			u, err := payload(scheme, in.Pipeline, c, o)
			if err != nil {
				return nil, fmt.Errorf("render %s: %w", c.name, err)
			}
			out = append(out, Child{Name: c.name, Object: u, Wave: c.wave, Durable: c.durable, Once: c.once, Adopt: c.adopt, Aside: c.aside})
		}
	}
	return out, nil
}

// payload turns what a builder wrote into what is sent: kind set, inventory
// labels and owner added, nothing that belongs to somebody else. With
// server-side apply each zero value left in would be a claim of ownership.
func payload(scheme *runtime.Scheme, p *v1alpha1.SparkPipeline, c child, o Object) (*unstructured.Unstructured, error) {
	u, err := convert(scheme, o)
	if err != nil {
		return nil, err
	}
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	for k, v := range OwnerLabels(p) {
		labels[k] = v
	}
	labels[LabelManagedBy] = ManagedBy
	u.SetLabels(labels)
	if c.durable {
		keepFromGitOps(u)
	} else if u.GetNamespace() == p.Namespace && p.UID != "" {
		u.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "SparkPipeline",
			Name: p.Name, UID: p.UID, Controller: new(true),
		}})
	}
	return u, nil
}

// convert makes a typed object untyped, with its kind.
func convert(scheme *runtime.Scheme, o Object) (*unstructured.Unstructured, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.DeepCopy(), nil
	}
	kinds, _, err := scheme.ObjectKinds(o)
	if err != nil {
		return nil, fmt.Errorf("kind of %T: %w", o, err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", o, err)
	}
	delete(content, "status")
	stripUnset(content)
	stripEmptySpec(content)
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kinds[0])
	return u, nil
}

// keepFromGitOps asks Argo CD and Flux to leave a child that holds data alone,
// should they ever come to think that it is theirs.
func keepFromGitOps(u *unstructured.Unstructured) {
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["argocd.argoproj.io/sync-options"] = "Prune=false,Delete=false"
	annotations["kustomize.toolkit.fluxcd.io/prune"] = "disabled"
	u.SetAnnotations(annotations)
}

// stripEmptySpec removes a spec, or a selector of namespaces right in it, that says
// nothing. Deeper down an empty selector means everything.
func stripEmptySpec(content map[string]any) {
	spec, ok := content["spec"].(map[string]any)
	if !ok {
		return
	}
	if of, ok := spec["namespaceSelector"].(map[string]any); ok && len(of) == 0 {
		delete(spec, "namespaceSelector")
	}
	if len(spec) == 0 {
		delete(content, "spec")
	}
}

// stripUnset removes what Go's zero values leave behind: nulls, and the empty
// objects that are not a statement of their own.
func stripUnset(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			stripUnset(v)
			if len(v) == 0 && (k == "resources" || k == "strategy" || k == "updateStrategy" || k == "metadata") {
				delete(m, k)
			}
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					stripUnset(e)
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/sparkapi"
)

// Annotations of the SparkApplication. With them a lost status, or a crash right
// after the creation, loses nothing.
const (
	// AnnotationRendering holds the digest of the rendering.
	AnnotationRendering = "sparkpipeline.dev/rendering"
	// AnnotationStateIdentity holds the settings that define the state, as JSON.
	AnnotationStateIdentity = "sparkpipeline.dev/state-identity"
	// AnnotationGeneration holds the generation of the SparkPipeline.
	AnnotationGeneration = "sparkpipeline.dev/generation"
)

// Names that Spark gives to the containers of its pods.
const (
	driverContainer   = "spark-kubernetes-driver"
	executorContainer = "spark-kubernetes-executor"
)

// Rendering is the SparkApplication that a spec asks for.
type Rendering struct {
	// Object is the payload, exactly as it is sent.
	Object *unstructured.Unstructured
	// Digest of all that a restart would change: neither the number of executors
	// nor suspend is in it.
	Digest string
	// Executors is the size that the run starts with.
	Executors int32
	// StateIdentity are the settings that define the state: with another one the
	// stream would not find it, or not be able to read it.
	StateIdentity map[string]string
}

// Application renders the SparkApplication of in.Pipeline. Every field that
// kubeflow's webhook would set by default is set here, and everything that pods
// need stands where Spark itself honours it, so that nothing rests on that
// webhook.
//
// The error is an *InvalidError when the spec is at fault.
func Application(scheme *runtime.Scheme, in Input) (Rendering, error) {
	p := in.Pipeline
	conf, err := sparkConf(in)
	if err != nil {
		return Rendering{}, err
	}
	driver, err := driverTemplate(in)
	if err != nil {
		return Rendering{}, err
	}
	executor, err := executorTemplate(in)
	if err != nil {
		return Rendering{}, err
	}
	r := Rendering{Executors: p.StartExecutors(), StateIdentity: stateIdentity(p)}
	if in.Facts.Executors > 0 {
		r.Executors = in.Facts.Executors
	}
	app := &sparkapi.SparkApplication{ObjectMeta: named(in, ""), Spec: sparkapi.SparkApplicationSpec{
		Type:                string(p.Spec.Application.Type),
		Mode:                "cluster",
		SparkVersion:        p.Spec.SparkVersion,
		Image:               &p.Spec.Image,
		ImagePullPolicy:     new("IfNotPresent"),
		ImagePullSecrets:    pullSecrets(p),
		MainClass:           unlessEmpty(p.Spec.Application.MainClass),
		MainApplicationFile: &p.Spec.Application.MainApplicationFile,
		Arguments:           p.Spec.Application.Arguments,
		SparkConf:           conf,
		Deps:                dependencies(p.Spec.Application.Dependencies),
		RestartPolicy:       restartPolicy(p.Spec.Restart),
		Driver: sparkapi.DriverSpec{
			PodName: new(p.Name + "-driver"),
			SparkPodSpec: sparkapi.SparkPodSpec{
				Template: driver, Cores: &p.Spec.Driver.Cores, CoreRequest: unlessEmpty(p.Spec.Driver.CoreRequest),
				Memory: memory(p.Spec.Driver.Memory), MemoryOverhead: memory(p.Spec.Driver.MemoryOverhead),
				ServiceAccount: new(p.Name + "-driver"),
			},
		},
		Executor: sparkapi.ExecutorSpec{
			Instances: &r.Executors, DeleteOnTermination: new(false),
			SparkPodSpec: sparkapi.SparkPodSpec{
				Template: executor, Cores: &p.Spec.Executor.Cores, CoreRequest: unlessEmpty(p.Spec.Executor.CoreRequest),
				Memory: memory(p.Spec.Executor.Memory), MemoryOverhead: memory(p.Spec.Executor.MemoryOverhead),
				ServiceAccount: new(p.Name + "-executor"),
			},
		},
	}}
	r.Object, err = payload(scheme, p, child{}, app)
	if err != nil {
		return Rendering{}, fmt.Errorf("render the SparkApplication: %w", err)
	}
	return r, stamp(&r, p)
}

// withoutGuardImage leaves out of a digest which image the guard runs from: it is
// the operator's own, and its next version is no reason for a restart.
func withoutGuardImage(spec map[string]any) {
	containers, _, _ := unstructured.NestedSlice(spec, "driver", "template", "spec", "initContainers")
	for _, c := range containers {
		if c, ok := c.(map[string]any); ok && c["name"] == GuardContainer {
			delete(c, "image")
		}
	}
	if len(containers) > 0 {
		_ = unstructured.SetNestedSlice(spec, containers, "driver", "template", "spec", "initContainers")
	}
}

// stamp computes the digest and writes the annotations.
func stamp(r *Rendering, p *v1alpha1.SparkPipeline) error {
	content := r.Object.DeepCopy().Object["spec"].(map[string]any)
	unstructured.RemoveNestedField(content, "executor", "instances")
	withoutGuardImage(content)
	text, err := json.Marshal([]any{content, p.Spec.Restart.Nonce})
	if err != nil {
		return fmt.Errorf("digest of the rendering: %w", err)
	}
	sum := sha256.Sum256(text)
	r.Digest = hex.EncodeToString(sum[:8])
	identity, err := json.Marshal(r.StateIdentity)
	if err != nil {
		return fmt.Errorf("write the state identity: %w", err)
	}
	annotations := r.Object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, map[string]string{
		AnnotationRendering:     r.Digest,
		AnnotationStateIdentity: string(identity),
		AnnotationGeneration:    strconv.FormatInt(p.Generation, 10),
	})
	r.Object.SetAnnotations(annotations)
	return nil
}

// restartPolicy lets kubeflow's controller do the quick retries alone. Its count
// is for the life of the object.
func restartPolicy(r v1alpha1.RestartSpec) sparkapi.RestartPolicy {
	seconds := int64(max(r.Interval.Duration()/time.Second, 1))
	return sparkapi.RestartPolicy{
		Type:             sparkapi.RestartOnFailure,
		OnFailureRetries: &r.QuickRetries, OnFailureRetryInterval: &seconds,
		OnSubmissionFailureRetries: &r.QuickRetries, OnSubmissionFailureRetryInterval: &seconds,
	}
}

func dependencies(d v1alpha1.DependenciesSpec) sparkapi.Dependencies {
	return sparkapi.Dependencies{Jars: words(d.Jars), Files: words(d.Files), PyFiles: words(d.PyFiles), Packages: words(d.Packages)}
}

func words[T ~string](in []T) []string {
	var out []string
	for _, w := range in {
		out = append(out, string(w))
	}
	return out
}

func pullSecrets(p *v1alpha1.SparkPipeline) []string {
	var out []string
	for _, s := range p.Spec.ImagePullSecrets {
		out = append(out, s.Name)
	}
	return out
}

func memory(m v1alpha1.Memory) *string { return unlessEmpty(string(m)) }

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// writes remembers the operator's own last writes until the caches have shown
// them, so that nothing is decided from a view that is older than them.
type writes struct {
	mu        sync.Mutex
	pipelines map[client.ObjectKey]*v1alpha1.SparkPipeline
	apps      map[client.ObjectKey]createdApp
}

// createdApp is what was created. The status may not tell: its write can fail.
type createdApp struct {
	uid types.UID
	at  time.Time
	// digest of the rendering, and the generation that it is of.
	digest     string
	generation int64
}

// remember keeps what the API server answered to a write of a pipeline.
func (w *writes) remember(p *v1alpha1.SparkPipeline) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pipelines == nil {
		w.pipelines = map[client.ObjectKey]*v1alpha1.SparkPipeline{}
	}
	w.pipelines[client.ObjectKeyFromObject(p)] = p.DeepCopy()
}

// newest answers with the later of what the cache has and what was last written.
func (w *writes) newest(cached *v1alpha1.SparkPipeline) *v1alpha1.SparkPipeline {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := client.ObjectKeyFromObject(cached)
	written, ok := w.pipelines[key]
	if !ok {
		return cached.DeepCopy()
	}
	if written.UID == cached.UID && older(cached.ResourceVersion, written.ResourceVersion) {
		return written.DeepCopy()
	}
	delete(w.pipelines, key)
	return cached.DeepCopy()
}

// created remembers that a SparkApplication was created, until it is seen.
func (w *writes) created(key client.ObjectKey, app createdApp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.apps == nil {
		w.apps = map[client.ObjectKey]createdApp{}
	}
	w.apps[key] = app
}

// unseen answers with the SparkApplication that was created and not yet seen.
func (w *writes) unseen(key client.ObjectKey) (createdApp, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	app, ok := w.apps[key]
	return app, ok
}

// seen ends the wait for a created SparkApplication.
func (w *writes) seen(key client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.apps, key)
}

func (w *writes) forget(key client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pipelines, key)
	delete(w.apps, key)
}

// older compares resource versions. Since Kubernetes 1.35 they are comparable
// integers; where they are not, the cache is believed.
func older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x < y
}

// sameStatus compares what is stored: absent and empty are one.
func sameStatus(a, b v1alpha1.SparkPipelineStatus) bool {
	return equality.Semantic.DeepEqual(a, b)
}

// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Keys of the state identity.
const (
	identityRoot       = "checkpoint root"
	identityProvider   = "state store provider"
	identityPartitions = "shuffle partitions"
	identityQuery      = "path of query "

	confProvider   = "spark.sql.streaming.stateStore.providerClass"
	confPartitions = "spark.sql.shuffle.partitions"
)

// stateIdentity are the settings by which a stream finds its state and can read
// it. The claim is not among them: a restore puts the same state into another one.
func stateIdentity(p *v1alpha1.SparkPipeline) map[string]string {
	identity := map[string]string{identityRoot: p.CheckpointRoot()}
	for _, q := range p.Spec.Checkpoint.Queries {
		identity[identityQuery+q.Name] = p.QueryPath(q)
	}
	for key, setting := range map[string]string{identityProvider: confProvider, identityPartitions: confPartitions} {
		if v, ok := p.Spec.Application.SparkConf[setting]; ok {
			identity[key] = string(v)
		}
	}
	return identity
}

// Classify says what going from the running rendering to the wanted one costs,
// and why. What is running needs its digest and its state identity alone, so what
// a SparkApplication's annotations say of it is enough.
func Classify(running, wanted Rendering) (v1alpha1.ChangeClass, []string) {
	if running.Digest == wanted.Digest {
		return v1alpha1.ChangeNone, nil
	}
	var breaking []string
	for _, key := range slices.Sorted(maps.Keys(running.StateIdentity)) {
		before, after := running.StateIdentity[key], wanted.StateIdentity[key]
		if before != after && breaks(key, before, after) {
			breaking = append(breaking, fmt.Sprintf("%s: from %q to %q", key, before, after))
		}
	}
	if len(breaking) > 0 {
		return v1alpha1.ChangeStateBreaking, breaking
	}
	return v1alpha1.ChangeRestart, []string{"the application's rendering differs"}
}

// breaks says whether a change of one part of the identity loses state. A query
// that is no longer declared leaves its root alone; more shuffle partitions are
// ignored by Spark, fewer are how people break a root by hand.
func breaks(key, before, after string) bool {
	switch {
	case strings.HasPrefix(key, identityQuery):
		return after != ""
	case key == identityPartitions:
		a, errA := strconv.Atoi(before)
		b, errB := strconv.Atoi(after)
		return errA == nil && errB == nil && b < a
	}
	return true
}

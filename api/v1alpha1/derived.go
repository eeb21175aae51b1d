// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The claim of a checkpoint when the spec says nothing of it. The schema cannot
// hold these as a default of the block, because spec.checkpoint.location
// excludes it; a rule of CheckpointSpec repeats them.
const (
	defaultCheckpointSize = "100Gi"
	defaultCheckpointMode = AccessReadWriteMany
)

// WorkloadNamespace is the namespace that the children live in: the dedicated
// one, or the SparkPipeline's own.
func (p *SparkPipeline) WorkloadNamespace() string {
	if p.Spec.Namespace != "" {
		return p.Spec.Namespace
	}
	return p.Namespace
}

// CheckpointVolume is the claim of the checkpoint as it is in force, a copy with
// every field set, or nil when the state lives in a bucket.
func (p *SparkPipeline) CheckpointVolume() *CheckpointVolume {
	if p.Spec.Checkpoint.Location != "" {
		return nil
	}
	volume := &CheckpointVolume{}
	if p.Spec.Checkpoint.Volume != nil {
		volume = p.Spec.Checkpoint.Volume.DeepCopy()
	}
	if volume.Size == nil {
		volume.Size = new(resource.MustParse(defaultCheckpointSize))
	}
	if volume.AccessMode == "" {
		volume.AccessMode = defaultCheckpointMode
	}
	return volume
}

// CheckpointRoot is the directory or prefix that holds the roots of the queries,
// without a slash at its end: the mount path, or the location in a bucket.
func (p *SparkPipeline) CheckpointRoot() string {
	if location := p.Spec.Checkpoint.Location; location != "" {
		return strings.TrimRight(location, "/")
	}
	return p.Spec.Checkpoint.MountPath
}

// QueryPath is where the root of a query lies below CheckpointRoot.
func (p *SparkPipeline) QueryPath(q QuerySpec) string {
	if q.Path != "" {
		return q.Path
	}
	return q.Name
}

// QueryRoot is the whole path or address of the root of a query.
func (p *SparkPipeline) QueryRoot(q QuerySpec) string {
	return p.CheckpointRoot() + "/" + p.QueryPath(q)
}

// ScalingEnabled says whether the number of executors follows the load.
func (p *SparkPipeline) ScalingEnabled() bool {
	return p.Spec.Scaling.State != StateDisabled
}

// FewestExecutors is the smallest number of executors that the spec allows at
// any time of the day.
func (p *SparkPipeline) FewestExecutors() int32 {
	if !p.ScalingEnabled() {
		return p.Spec.Executor.Instances
	}
	fewest := p.Spec.Scaling.MinExecutors
	for _, s := range p.Spec.Scaling.Schedules {
		fewest = min(fewest, s.MinExecutors)
	}
	return fewest
}

// MostExecutors is the largest number of executors that the spec allows at any
// time of the day.
func (p *SparkPipeline) MostExecutors() int32 {
	if !p.ScalingEnabled() {
		return p.Spec.Executor.Instances
	}
	most := p.Spec.Scaling.MaxExecutors
	for _, s := range p.Spec.Scaling.Schedules {
		most = max(most, s.MaxExecutors)
	}
	return most
}

// StartExecutors is the number of executors that the first start asks for:
// executor.instances, within the bounds of scaling.
func (p *SparkPipeline) StartExecutors() int32 {
	if !p.ScalingEnabled() {
		return p.Spec.Executor.Instances
	}
	return min(max(p.Spec.Executor.Instances, p.Spec.Scaling.MinExecutors), p.Spec.Scaling.MaxExecutors)
}

// EffectiveExecutorMinAvailable is the number of executors that evictions leave:
// what the spec says, else 2, but always below FewestExecutors, so that a drain
// can go on. 0 asks for no disruption budget.
func (p *SparkPipeline) EffectiveExecutorMinAvailable() int32 {
	wanted := int32(2)
	if v := p.Spec.Disruption.ExecutorMinAvailable; v != nil {
		wanted = *v
	}
	return max(0, min(wanted, p.FewestExecutors()-1))
}

// SparkAtLeast says whether the image's Spark is of this version or a later one.
// A version that the schema would refuse is older than any.
func (p *SparkPipeline) SparkAtLeast(major, minor int) bool {
	parts := strings.Split(p.Spec.SparkVersion, ".")
	if len(parts) < 2 {
		return false
	}
	gotMajor, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	gotMinor, err := strconv.Atoi(parts[1])
	if err != nil {
		return false
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

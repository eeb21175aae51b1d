// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWorkloadNamespace(t *testing.T) {
	p := &SparkPipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "data"}}
	if got := p.WorkloadNamespace(); got != "data" {
		t.Errorf("shared: %q, want data", got)
	}
	p.Spec.Namespace = "orders-prod"
	if got := p.WorkloadNamespace(); got != "orders-prod" {
		t.Errorf("dedicated: %q, want orders-prod", got)
	}
}

func TestCheckpointVolume(t *testing.T) {
	p := &SparkPipeline{}
	if v := p.CheckpointVolume(); v.Size.String() != "100Gi" || v.AccessMode != "ReadWriteMany" || v.StorageClassName != "" {
		t.Errorf("absent: %+v, want 100Gi ReadWriteMany of the default class", v)
	}

	p.Spec.Checkpoint.Volume = &CheckpointVolume{Size: new(resource.MustParse("7Gi")), StorageClassName: "efs", AccessMode: "ReadWriteOnce"}
	v := p.CheckpointVolume()
	if v.Size.String() != "7Gi" || v.AccessMode != "ReadWriteOnce" || v.StorageClassName != "efs" {
		t.Errorf("present: %+v, want what the spec says", v)
	}
	v.Size.Add(resource.MustParse("1Gi"))
	if got := p.Spec.Checkpoint.Volume.Size.String(); got != "7Gi" {
		t.Errorf("the spec changed to %s with the copy", got)
	}

	p.Spec.Checkpoint = CheckpointSpec{Location: "s3a://bucket/orders"}
	if v := p.CheckpointVolume(); v != nil {
		t.Errorf("in a bucket: %+v, want none", v)
	}
}

func TestCheckpointPaths(t *testing.T) {
	for name, c := range map[string]struct {
		checkpoint CheckpointSpec
		query      QuerySpec
		root, want string
	}{
		"a volume and a path":   {CheckpointSpec{MountPath: "/mnt/checkpoints"}, QuerySpec{Name: "agg", Path: "orders/agg"}, "/mnt/checkpoints", "/mnt/checkpoints/orders/agg"},
		"a volume and a name":   {CheckpointSpec{MountPath: "/mnt/checkpoints"}, QuerySpec{Name: "agg"}, "/mnt/checkpoints", "/mnt/checkpoints/agg"},
		"a location":            {CheckpointSpec{MountPath: "/mnt/checkpoints", Location: "s3a://bucket/orders"}, QuerySpec{Name: "agg"}, "s3a://bucket/orders", "s3a://bucket/orders/agg"},
		"a location with slash": {CheckpointSpec{Location: "s3a://bucket/orders/"}, QuerySpec{Name: "agg"}, "s3a://bucket/orders", "s3a://bucket/orders/agg"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &SparkPipeline{Spec: SparkPipelineSpec{Checkpoint: c.checkpoint}}
			if got := p.CheckpointRoot(); got != c.root {
				t.Errorf("root is %q, want %q", got, c.root)
			}
			if got := p.QueryRoot(c.query); got != c.want {
				t.Errorf("query's root is %q, want %q", got, c.want)
			}
		})
	}
}

func TestNumbersOfExecutors(t *testing.T) {
	night := []ScalingSchedule{{MinExecutors: 1, MaxExecutors: 4}, {MinExecutors: 10, MaxExecutors: 40}}
	for name, c := range map[string]struct {
		scaling      ScalingSpec
		minAvailable *int32
		fewest, most int32
		available    int32
	}{
		"the reference":                      {ScalingSpec{State: "Enabled", MinExecutors: 3, MaxExecutors: 20}, nil, 3, 20, 2},
		"two at least":                       {ScalingSpec{State: "Enabled", MinExecutors: 2, MaxExecutors: 20}, nil, 2, 20, 1},
		"one at least":                       {ScalingSpec{State: "Enabled", MinExecutors: 1, MaxExecutors: 1}, nil, 1, 1, 0},
		"a schedule with less and with more": {ScalingSpec{State: "Enabled", MinExecutors: 3, MaxExecutors: 20, Schedules: night}, nil, 1, 40, 0},
		"fixed":                              {ScalingSpec{State: "Disabled", MinExecutors: 3, MaxExecutors: 20, Schedules: night}, nil, 5, 5, 2},
		"said":                               {ScalingSpec{State: "Enabled", MinExecutors: 9, MaxExecutors: 20}, new(int32(7)), 9, 20, 7},
		"none said":                          {ScalingSpec{State: "Enabled", MinExecutors: 9, MaxExecutors: 20}, new(int32(0)), 9, 20, 0},
		"too many said":                      {ScalingSpec{State: "Enabled", MinExecutors: 3, MaxExecutors: 20}, new(int32(9)), 3, 20, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := &SparkPipeline{}
			p.Spec.Executor.Instances = 5
			p.Spec.Scaling = c.scaling
			p.Spec.Disruption.ExecutorMinAvailable = c.minAvailable
			if got := p.FewestExecutors(); got != c.fewest {
				t.Errorf("fewest is %d, want %d", got, c.fewest)
			}
			if got := p.MostExecutors(); got != c.most {
				t.Errorf("most is %d, want %d", got, c.most)
			}
			if got := p.EffectiveExecutorMinAvailable(); got != c.available {
				t.Errorf("min available is %d, want %d", got, c.available)
			}
		})
	}
}

func TestStartExecutors(t *testing.T) {
	for name, c := range map[string]struct {
		state        State
		instances    int32
		fewest, most int32
		want         int32
	}{
		"within the bounds":           {"Enabled", 5, 3, 20, 5},
		"fewer than at least":         {"Enabled", 5, 8, 20, 8},
		"more than at most":           {"Enabled", 5, 1, 4, 4},
		"without scaling, as written": {"Disabled", 5, 8, 20, 5},
	} {
		t.Run(name, func(t *testing.T) {
			p := &SparkPipeline{}
			p.Spec.Executor.Instances = c.instances
			p.Spec.Scaling = ScalingSpec{State: c.state, MinExecutors: c.fewest, MaxExecutors: c.most}
			if got := p.StartExecutors(); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestSparkAtLeast(t *testing.T) {
	for _, c := range []struct {
		version      string
		major, minor int
		want         bool
	}{
		{"3.5.7", 4, 0, false},
		{"3.5.7", 3, 5, true},
		{"4.0.0", 4, 0, true},
		{"4.1.4", 4, 2, false},
		{"4.10.0", 4, 2, true},
		{"4.1.4", 3, 9, true},
		{"5.0.0", 4, 9, true},
		{"", 3, 5, false},
		{"latest", 3, 5, false},
		{"4", 3, 5, false},
		{"x.1.0", 3, 5, false},
		{"4.x.0", 3, 5, false},
	} {
		p := &SparkPipeline{Spec: SparkPipelineSpec{SparkVersion: c.version}}
		if got := p.SparkAtLeast(c.major, c.minor); got != c.want {
			t.Errorf("%q at least %d.%d is %t, want %t", c.version, c.major, c.minor, got, c.want)
		}
	}
}

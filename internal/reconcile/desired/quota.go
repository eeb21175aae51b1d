// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// The reference numbers for a dedicated namespace.
const (
	referencePods    = 100
	referenceCPU     = "200"
	referenceMemory  = "400Gi"
	referenceStorage = "500Gi"
)

// +kubebuilder:rbac:groups="",resources=resourcequotas;limitranges,verbs=get;list;watch;create;patch;delete

// quotaOf is the quota in force: what the spec says, the reference numbers in a
// dedicated namespace, nil in a shared one. A quota in a shared namespace would
// bind everybody in it, so it is there only on request.
func quotaOf(p *v1alpha1.SparkPipeline) *v1alpha1.QuotaSpec {
	if p.Spec.Quota == nil && p.Spec.Namespace == "" {
		return nil
	}
	q := v1alpha1.QuotaSpec{}
	if p.Spec.Quota != nil {
		q = *p.Spec.Quota.DeepCopy()
	}
	if q.Pods == 0 {
		q.Pods = referencePods
	}
	for _, f := range []struct {
		field **resource.Quantity
		value resource.Quantity
	}{{&q.CPU, resource.MustParse(referenceCPU)}, {&q.Memory, resource.MustParse(referenceMemory)}, {&q.Storage, storageOf(p)}} {
		if *f.field == nil {
			*f.field = &f.value
		}
	}
	return &q
}

// storageOf is the reference number, or what the claims come to where that is more: the
// event logs, the checkpoint, one that a restore has replaced, one that a restore fills,
// and the volume of a drill, which so never has the restore's share.
func storageOf(p *v1alpha1.SparkPipeline) resource.Quantity {
	sum := p.Spec.EventLog.Volume.Size.DeepCopy()
	if v := p.CheckpointVolume(); v != nil {
		for range 4 {
			sum.Add(*v.Size)
		}
	}
	if reference := resource.MustParse(referenceStorage); sum.Cmp(reference) < 0 {
		return reference
	}
	return sum
}

// quota bounds the namespace.
func quota(in Input) ([]Object, error) {
	q := quotaOf(in.Pipeline)
	if q == nil {
		return nil, nil
	}
	if err := belowCeiling(q, in.Defaults.QuotaCeiling); err != nil {
		return nil, err
	}
	return []Object{&corev1.ResourceQuota{ObjectMeta: named(in, ""), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
		corev1.ResourcePods:            *resource.NewQuantity(int64(q.Pods), resource.DecimalSI),
		corev1.ResourceRequestsCPU:     *q.CPU,
		corev1.ResourceRequestsMemory:  *q.Memory,
		corev1.ResourceRequestsStorage: *q.Storage,
	}}}}, nil
}

func belowCeiling(q *v1alpha1.QuotaSpec, c QuotaCeiling) error {
	if c.Pods > 0 && q.Pods > c.Pods {
		return &InvalidError{Field: "spec.quota.pods", Found: fmt.Sprint(q.Pods), Allowed: fmt.Sprintf("at most %d, the ceiling of this install", c.Pods)}
	}
	for _, f := range []struct {
		name       string
		found, top resource.Quantity
	}{{"cpu", *q.CPU, c.CPU}, {"memory", *q.Memory, c.Memory}, {"storage", *q.Storage, c.Storage}} {
		if !f.top.IsZero() && f.found.Cmp(f.top) > 0 {
			return &InvalidError{Field: "spec.quota." + f.name, Found: f.found.String(), Allowed: fmt.Sprintf("at most %s, the ceiling of this install", f.top.String())}
		}
	}
	return nil
}

// limits gives containers that say nothing a request, without which the quota
// would refuse their pods.
func limits(in Input) ([]Object, error) {
	if quotaOf(in.Pipeline) == nil {
		return nil, nil
	}
	return []Object{&corev1.LimitRange{ObjectMeta: named(in, ""), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type:           corev1.LimitTypeContainer,
		DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		Default:        corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}}}}}, nil
}

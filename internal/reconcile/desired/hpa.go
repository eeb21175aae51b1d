// SPDX-License-Identifier: Apache-2.0

package desired

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// External metrics that a metrics adapter has to serve for scaling on input. Both
// carry the labels namespace and pipeline.
const (
	metricInputRate = "sparkpipeline_input_rows_per_second"
	metricKafkaLag  = "sparkpipeline_kafka_lag"
)

// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete

// hpa scales the executors' StatefulSet of the live run. Its name is known as soon
// as the driver's pod is there, also when the backend made that by itself; without
// a live driver there is nothing to scale.
func hpa(in Input) ([]Object, error) {
	s := in.Pipeline.Spec.Scaling
	if err := checkBehavior(s.Behavior); err != nil {
		return nil, err
	}
	if !in.Pipeline.ScalingEnabled() || in.Pipeline.Spec.Suspend || in.Facts.AppSelector == "" {
		return nil, nil
	}
	bounds := Bounds{s.MinExecutors, s.MaxExecutors}
	if in.Facts.Bounds != nil {
		bounds = *in.Facts.Bounds
	}
	h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: named(in, ""), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: ExecutorSetName(in.Facts.AppSelector)},
		MinReplicas:    &bounds.Min, MaxReplicas: bounds.Max,
		Metrics:  scalingMetrics(in.Pipeline),
		Behavior: s.Behavior,
	}}
	if h.Spec.Behavior == nil {
		h.Spec.Behavior = referenceBehavior()
	}
	return []Object{h}, nil
}

func scalingMetrics(p *v1alpha1.SparkPipeline) []autoscalingv2.MetricSpec {
	s := p.Spec.Scaling
	var out []autoscalingv2.MetricSpec
	utilization := func(name corev1.ResourceName, percent *int32) {
		if percent != nil && *percent > 0 {
			out = append(out, autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: name, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: percent}}})
		}
	}
	external := func(name string, perExecutor int64) {
		out = append(out, autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: name, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{
				"namespace": workloadNamespace(p), "pipeline": p.Name}}},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(perExecutor, resource.DecimalSI)}}})
	}
	utilization(corev1.ResourceCPU, s.CPUUtilization)
	utilization(corev1.ResourceMemory, s.MemoryUtilization)
	if s.InputRate != nil {
		external(metricInputRate, s.InputRate.PerExecutor)
	}
	if s.KafkaLag != nil {
		external(metricKafkaLag, s.KafkaLag.PerExecutor)
	}
	return out
}

// referenceBehavior is up 50 % a minute at once, down 10 % a minute after 300 s.
func referenceBehavior() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	rules := func(window, percent int32) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PercentScalingPolicy, Value: percent, PeriodSeconds: 60}}}
	}
	up := rules(0, 50)
	// Half of one executor is none: without this, a run of one never grows.
	up.Policies = append(up.Policies, autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 1, PeriodSeconds: 60})
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: up, ScaleDown: rules(300, 10)}
}

// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// has says whether a case has a child of the given registry entry and name.
func has(t *testing.T, in desired.Input, entry, name string) bool {
	t.Helper()
	children, err := desired.Render(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children {
		if c.Name == entry && c.Object.GetName() == name {
			return true
		}
	}
	return false
}

// A quota is the reference's unless the spec says otherwise, and never above what
// the admin allows.
func TestQuota(t *testing.T) {
	in := caseNamed(t, "dedicated")
	in.Pipeline.Spec.Quota = &v1alpha1.QuotaSpec{CPU: new(resource.MustParse("7"))}
	hard := child[corev1.ResourceQuota](t, in, "quota", "payments").Spec.Hard
	for name, want := range map[corev1.ResourceName]string{"pods": "100", "requests.cpu": "7", "requests.memory": "400Gi", "requests.storage": "500Gi"} {
		if got := hard[name]; got.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s is %s, expected %s", name, got.String(), want)
		}
	}
	in.Pipeline.Spec.Checkpoint.Volume = &v1alpha1.CheckpointVolume{Size: new(resource.MustParse("300Gi"))}
	hard = child[corev1.ResourceQuota](t, in, "quota", "payments").Spec.Hard
	if got := hard["requests.storage"]; got.Cmp(resource.MustParse("1250Gi")) != 0 {
		t.Errorf("storage is %s; the logs, the checkpoint, one replaced, one restored and a drill's are 1250Gi", got.String())
	}
	if has(t, caseNamed(t, "minimal"), "quota", "orders") || has(t, caseNamed(t, "minimal"), "limits", "orders") {
		t.Error("a quota binds everybody in a shared namespace; nobody asked for it")
	}
	for field, change := range map[string]func(*v1alpha1.QuotaSpec){
		"pods":    func(q *v1alpha1.QuotaSpec) { q.Pods = 1001 },
		"cpu":     func(q *v1alpha1.QuotaSpec) { q.CPU = new(resource.MustParse("2001")) },
		"memory":  func(q *v1alpha1.QuotaSpec) { q.Memory = new(resource.MustParse("5Ti")) },
		"storage": func(q *v1alpha1.QuotaSpec) { q.Storage = new(resource.MustParse("21Ti")) },
	} {
		in := caseNamed(t, "full")
		change(in.Pipeline.Spec.Quota)
		found := map[string]string{"pods": "1001", "cpu": "2001", "memory": "5Ti", "storage": "21Ti"}[field]
		invalidChild(t, in, "spec.quota."+field, found)
		in.Defaults.QuotaCeiling = desired.QuotaCeiling{}
		if !has(t, in, "quota", "orders-full") {
			t.Errorf("%s: without a ceiling nothing is too much", field)
		}
	}
}

// No budget is made that could never let a drain go on.
func TestDisruptionBudgets(t *testing.T) {
	for _, c := range []struct {
		what             string
		change           func(*v1alpha1.SparkPipelineSpec)
		driver, executor int // 0: there is none.
	}{
		{"the reference", func(*v1alpha1.SparkPipelineSpec) {}, 1, 2},
		{"a driver that may go", func(s *v1alpha1.SparkPipelineSpec) { s.Disruption.DriverMinAvailable = new(int32(0)) }, 0, 2},
		{"two at least", func(s *v1alpha1.SparkPipelineSpec) { s.Scaling.MinExecutors = 2 }, 1, 1},
		{"one at night", func(s *v1alpha1.SparkPipelineSpec) {
			s.Scaling.Schedules = []v1alpha1.ScalingSchedule{{MinExecutors: 1, MaxExecutors: 5}}
		}, 1, 0},
		{"what the spec says", func(s *v1alpha1.SparkPipelineSpec) {
			s.Scaling.MinExecutors, s.Disruption.ExecutorMinAvailable = 9, new(int32(8))
		}, 1, 8},
		{"nothing on request", func(s *v1alpha1.SparkPipelineSpec) { s.Disruption.ExecutorMinAvailable = new(int32(0)) }, 1, 0},
	} {
		in := caseNamed(t, "minimal")
		c.change(&in.Pipeline.Spec)
		for name, want := range map[string]int{"orders-driver": c.driver, "orders-executor": c.executor} {
			if has(t, in, "pdb", name) != (want > 0) {
				t.Errorf("%s: %s is there: %t", c.what, name, want == 0)
				continue
			}
			if want > 0 {
				if got := child[policyv1.PodDisruptionBudget](t, in, "pdb", name).Spec.MinAvailable.IntValue(); got != want {
					t.Errorf("%s: %s leaves %d, expected %d", c.what, name, got, want)
				}
			}
		}
	}
}

// There is something to scale only while a driver lives and its size may change.
func TestHPA(t *testing.T) {
	for what, change := range map[string]func(*desired.Input){
		"no driver":    func(in *desired.Input) { in.Facts.AppSelector = "" },
		"suspended":    func(in *desired.Input) { in.Pipeline.Spec.Suspend = true },
		"a fixed size": func(in *desired.Input) { in.Pipeline.Spec.Scaling.State = v1alpha1.StateDisabled },
	} {
		in := caseNamed(t, "running")
		change(&in)
		if has(t, in, "hpa", "prices") {
			t.Errorf("%s, and there is an HPA", what)
		}
	}
	spec := child[autoscalingv2.HorizontalPodAutoscaler](t, caseNamed(t, "running"), "hpa", "prices").Spec
	if spec.ScaleTargetRef.Kind != "StatefulSet" || spec.ScaleTargetRef.Name != "spark-s-spark-0123456789abcdef0123456789abcdef-0" ||
		*spec.MinReplicas != 3 || spec.MaxReplicas != 20 {
		t.Errorf("got %+v", spec)
	}
	up, down := spec.Behavior.ScaleUp, spec.Behavior.ScaleDown
	if *up.StabilizationWindowSeconds != 0 || up.Policies[0].Value != 50 || up.Policies[0].PeriodSeconds != 60 ||
		*down.StabilizationWindowSeconds != 300 || down.Policies[0].Value != 10 || down.Policies[0].PeriodSeconds != 60 {
		t.Errorf("the behaviour is not the reference's: %+v, %+v", up, down)
	}
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*v1alpha1.ScalingSpec)
		want   []string
	}{
		{"CPU alone by default", func(s *v1alpha1.ScalingSpec) { s.InputRate = nil }, []string{"cpu 70"}},
		{"memory on request", func(s *v1alpha1.ScalingSpec) { s.InputRate, s.MemoryUtilization = nil, new(int32(80)) }, []string{"cpu 70", "memory 80"}},
		{"rows, and no CPU", func(s *v1alpha1.ScalingSpec) { s.CPUUtilization = new(int32(0)) }, []string{"sparkpipeline_input_rows_per_second 5k"}},
		{"lag", func(s *v1alpha1.ScalingSpec) { s.InputRate, s.KafkaLag = nil, &v1alpha1.KafkaLag{PerExecutor: 12} }, []string{"cpu 70", "sparkpipeline_kafka_lag 12"}},
	} {
		in := caseNamed(t, "running")
		c.change(&in.Pipeline.Spec.Scaling)
		var got []string
		for _, m := range child[autoscalingv2.HorizontalPodAutoscaler](t, in, "hpa", "prices").Spec.Metrics {
			if m.Resource != nil {
				got = append(got, string(m.Resource.Name)+" "+resource.NewQuantity(int64(*m.Resource.Target.AverageUtilization), resource.DecimalSI).String())
				continue
			}
			if l := m.External.Metric.Selector.MatchLabels; l["namespace"] != "data" || l["pipeline"] != "prices" {
				t.Errorf("%s: the metric of %v", c.what, l)
			}
			got = append(got, m.External.Metric.Name+" "+m.External.Target.AverageValue.String())
		}
		if diff := difference(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.what, diff)
		}
	}
}

// A behaviour of the user's own is taken as a whole.
func TestBehaviour(t *testing.T) {
	in := caseNamed(t, "running")
	in.Pipeline.Spec.Scaling.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
		ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(7))}}
	got := child[autoscalingv2.HorizontalPodAutoscaler](t, in, "hpa", "prices").Spec.Behavior
	if diff := difference(in.Pipeline.Spec.Scaling.Behavior, got); diff != "" {
		t.Error(diff)
	}
}

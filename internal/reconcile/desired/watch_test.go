// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

func watchOf(t *testing.T, in desired.Input) corev1.PodTemplateSpec {
	t.Helper()
	return child[appsv1.Deployment](t, in, "watch", in.Pipeline.Name+"-watch").Spec.Template
}

// ofWatch are the children that belong to the watch.
func ofWatch(t *testing.T, in desired.Input) []string {
	t.Helper()
	children, err := desired.Render(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range children {
		if strings.HasSuffix(c.Object.GetName(), "-watch") {
			out = append(out, c.Object.GetKind())
		}
	}
	return out
}

func TestWatchIsThereWhereItHoldsNobodyUp(t *testing.T) {
	all := []string{"NetworkPolicy", "PodMonitor", "Deployment"}
	for _, c := range []struct {
		what   string
		change func(*desired.Input)
		want   []string
	}{
		{"shared volume", func(*desired.Input) {}, all},
		{"command not in the image", func(in *desired.Input) { in.Defaults.AgentCommands = []string{"backup"} }, nil},
		{"volume of one node", func(in *desired.Input) {
			in.Pipeline.Spec.Checkpoint.Volume = &v1alpha1.CheckpointVolume{AccessMode: v1alpha1.AccessReadWriteOnce}
		}, nil},
		{"bucket", func(in *desired.Input) { in.Pipeline.Spec.Checkpoint.Location = "s3a://state/orders" }, all},
	} {
		in := caseNamed(t, "minimal")
		c.change(&in)
		if got := ofWatch(t, in); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestWatchCannotWriteToTheCheckpoint(t *testing.T) {
	in := caseNamed(t, "shared")
	pod := watchOf(t, in).Spec
	i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil })
	if i < 0 {
		t.Fatal("the claim is not mounted")
	}
	claim := pod.Volumes[i]
	if c := claim.PersistentVolumeClaim; c.ClaimName != "shipments-checkpoint-r2" || !c.ReadOnly {
		t.Errorf("the claim is %+v", c)
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if !m.ReadOnly && m.MountPath != "/tmp" {
			t.Errorf("%s can be written to", m.MountPath)
		}
	}
	in.Pipeline.Spec.Checkpoint.Location = "s3a://state/shipments"
	for _, v := range watchOf(t, in).Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			t.Errorf("state is in a bucket, and the claim %s is mounted", v.PersistentVolumeClaim.ClaimName)
		}
	}
}

// The operator reads no Secret; the watch mounts those that the application uses,
// from wherever it uses them, each once.
func TestWatchMountsWhatTheApplicationUses(t *testing.T) {
	in := caseNamed(t, "minimal")
	in.Pipeline.Spec.Application.Env = []corev1.EnvVar{
		{Name: "PLAIN", Value: "x"},
		{Name: "USER", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "user"}}},
		{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "password"}}},
		{Name: "RULES", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "rules"}}},
	}
	in.Pipeline.Spec.ObjectStore.Credentials.SecretName = "store"
	in.Pipeline.Spec.Driver.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec": {
		"volumes": [{"name": "a", "secret": {"secretName": "keys"}}, {"name": "b", "configMap": {"name": "log4j"}},
			{"name": "c", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "piece"}}]}}]}}`)}
	in.Pipeline.Spec.Executor.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec": {
		"containers": [{"name": "spark-kubernetes-executor", "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "every"}}]}]}}`)}
	pod := watchOf(t, in).Spec
	var got []string
	for _, v := range pod.Volumes {
		if !strings.HasPrefix(v.Name, "mounted-") {
			continue
		}
		at := slices.IndexFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		of := ""
		switch {
		case v.Secret != nil && *v.Secret.Optional:
			of = v.Secret.SecretName
		case v.ConfigMap != nil && *v.ConfigMap.Optional:
			of = v.ConfigMap.Name
		}
		got = append(got, of+" at "+pod.Containers[0].VolumeMounts[at].MountPath)
	}
	want := []string{
		"db at /etc/sparkpipeline/mounted/configmap/db", "every at /etc/sparkpipeline/mounted/configmap/every",
		"log4j at /etc/sparkpipeline/mounted/configmap/log4j", "piece at /etc/sparkpipeline/mounted/configmap/piece",
		"all at /etc/sparkpipeline/mounted/secret/all", "db at /etc/sparkpipeline/mounted/secret/db", "keys at /etc/sparkpipeline/mounted/secret/keys",
		"part at /etc/sparkpipeline/mounted/secret/part", "store at /etc/sparkpipeline/mounted/secret/store",
	}
	if diff := difference(want, got); diff != "" {
		t.Errorf("mounted:\n%s", diff)
	}
}

// The agent reads its configuration once, so another one needs another pod.
func TestWatchStartsAgainWithItsConfiguration(t *testing.T) {
	in := caseNamed(t, "minimal")
	before := watchOf(t, in)
	if again := watchOf(t, caseNamed(t, "minimal")); again.Annotations["sparkpipeline.dev/agent-config"] != before.Annotations["sparkpipeline.dev/agent-config"] {
		t.Error("the same configuration makes another pod")
	}
	in.Pipeline.Spec.Checkpoint.Queries = []v1alpha1.QuerySpec{{Name: "returns", Trigger: "1m"}}
	if after := watchOf(t, in); after.Annotations["sparkpipeline.dev/agent-config"] == before.Annotations["sparkpipeline.dev/agent-config"] {
		t.Error("another query does not reach the agent")
	}
	in.Pipeline.Spec.Health.StallAfter = "9m"
	if command := watchOf(t, in).Spec.Containers[0].Command; command[len(command)-1] != "9m" || command[len(command)-2] != "--stall-after" {
		t.Errorf("the command is %q", command)
	}
}

// How the watch and the check of the buckets do is not what the pipeline waits for.
func TestWatchIsAside(t *testing.T) {
	children, err := desired.Render(scheme(t), caseNamed(t, "minimal"))
	if err != nil {
		t.Fatal(err)
	}
	var aside []string
	for _, c := range children {
		if c.Aside {
			aside = append(aside, c.Object.GetKind()+" "+c.Name)
		}
	}
	if !slices.Equal(aside, []string{"Job check", "Deployment watch"}) {
		t.Errorf("aside are %v", aside)
	}
}

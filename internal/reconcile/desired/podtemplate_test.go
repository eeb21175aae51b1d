// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// template is a user's pod template, written in YAML as in a manifest.
func template(t *testing.T, text string) *runtime.RawExtension {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &runtime.RawExtension{Raw: raw}
}

// pod is the template of a role in a rendered SparkApplication.
func pod(t *testing.T, r desired.Rendering, role string) corev1.PodTemplateSpec {
	t.Helper()
	content, found, err := unstructured.NestedMap(r.Object.Object, "spec", role, "template")
	if err != nil || !found {
		t.Fatalf("spec.%s.template: found %t, %v", role, found, err)
	}
	var out corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// What a template may not say ends in an error that names the field, for driver
// and executors alike.
func TestHostileTemplates(t *testing.T) {
	for _, c := range []struct{ name, template, field, found string }{
		{"not a template", "spec: {containers: none}", "", "cannot unmarshal"},
		{"a field that there is not", "spec: {hostNetworks: true}", "", `unknown field "hostNetworks"`},
		{"another service account", "spec: {serviceAccountName: admin}", ".spec.serviceAccountName", `"admin"`},
		{"another service account by the old name", "spec: {serviceAccount: admin}", ".spec.serviceAccount", `"admin"`},
		{"a node", "spec: {nodeName: control-plane}", ".spec.nodeName", `"control-plane"`},
		{"another priority", "spec: {priorityClassName: system-node-critical}", ".spec.priorityClassName", `"system-node-critical"`},
		{"a restart policy", "spec: {restartPolicy: Always}", ".spec.restartPolicy", `"Always"`},
		{"a host name", "spec: {hostname: kafka}", ".spec.hostname", `"kafka"`},
		{"a subdomain", "spec: {subdomain: kafka}", ".spec.subdomain", `"kafka"`},
		{"a name", "metadata: {name: other}", ".metadata.name", `"other"`},
		{"a namespace", "metadata: {namespace: kube-system}", ".metadata.namespace", `"kube-system"`},
		{"the label of a role", "metadata: {labels: {spark-role: driver}}", ".metadata.labels", `"spark-role"`},
		{"the label of another pipeline", "metadata: {labels: {sparkpipeline.dev/pipeline: other}}", ".metadata.labels", `"sparkpipeline.dev/pipeline"`},
		{"a label of the backend", "metadata: {labels: {sparkoperator.k8s.io/app-name: other}}", ".metadata.labels", `"sparkoperator.k8s.io/app-name"`},
		{"a mark of Argo CD", "metadata: {labels: {app.kubernetes.io/instance: orders}}", ".metadata.labels", `"app.kubernetes.io/instance"`},
		{"another container first", "spec: {containers: [{name: sidecar, image: i}]}", ".spec.containers[0].name", `"sidecar"`},
		{"an ephemeral container", "spec: {ephemeralContainers: [{name: debug, image: i}]}", ".spec.ephemeralContainers", `"debug"`},
		{"an argument for the guard", "spec: {initContainers: [{name: guard, image: i, args: [--help]}]}", ".spec.initContainers[0].name", `"guard"`},
		{"the host's network", "spec: {hostNetwork: true}", "", "host namespaces"},
		{"the host's processes", "spec: {hostPID: true}", "", "host namespaces"},
		{"the host's memory", "spec: {hostIPC: true}", "", "host namespaces"},
		{"the host's files", "spec: {volumes: [{name: host, hostPath: {path: /}}]}", "", "hostPath"},
		{"a privileged container", "spec: {containers: [{name: CONTAINER, securityContext: {privileged: true}}]}", "", "privileged"},
		{"a privileged sidecar", "spec: {containers: [{name: CONTAINER}, {name: s, image: i, securityContext: {privileged: true}}]}", "", "privileged"},
		{"a sidecar that says nothing", "spec: {containers: [{name: CONTAINER}, {name: s, image: i}]}", "", "allowPrivilegeEscalation"},
		{"an init container as root", "spec: {initContainers: [{name: s, image: i, securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}", "", "runAsUser=0"},
		{"a port of the host", "spec: {containers: [{name: CONTAINER, ports: [{containerPort: 80, hostPort: 80}]}]}", "", "hostPort"},
		{"more capabilities", "spec: {containers: [{name: CONTAINER, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}", "", "SYS_ADMIN"},
		{"an unmasked /proc", "spec: {containers: [{name: CONTAINER, securityContext: {procMount: Unmasked}}]}", "", "procMount"},
		{"a setting of the kernel", "spec: {securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}}", "", "sysctls"},
		{"a volume by the name of the checkpoint", "spec: {volumes: [{name: checkpoint, emptyDir: {}}]}", ".spec.volumes[0].name", `"checkpoint"`},
		{"a volume by the name of ours", "spec: {volumes: [{name: tmp, configMap: {name: c}}]}", ".spec.volumes[0].name", `"tmp"`},
		{"the claim once more", "spec: {volumes: [{name: mine, persistentVolumeClaim: {claimName: orders-checkpoint}}]}", ".spec.volumes[0].persistentVolumeClaim", `"orders-checkpoint"`},
		{"a claim of a restore", "spec: {volumes: [{name: mine, persistentVolumeClaim: {claimName: orders-checkpoint-r1}}]}", ".spec.volumes[0].persistentVolumeClaim", `"orders-checkpoint-r1"`},
		{"a mount that hides a root", "spec: {volumes: [{name: fast, emptyDir: {}}], containers: [{name: CONTAINER, volumeMounts: [{name: fast, mountPath: /mnt/checkpoints/orders}]}]}",
			".spec.containers[0].volumeMounts[0].mountPath", `"/mnt/checkpoints/orders"`},
		{"the same in other words", "spec: {volumes: [{name: fast, emptyDir: {}}], containers: [{name: CONTAINER, volumeMounts: [{name: fast, mountPath: /mnt/x/../checkpoints//orders/}]}]}",
			".spec.containers[0].volumeMounts[0].mountPath", `"/mnt/x/../checkpoints//orders/"`},
		{"a mount above the roots", "spec: {volumes: [{name: fast, emptyDir: {}}], containers: [{name: CONTAINER, volumeMounts: [{name: fast, mountPath: /mnt}]}]}",
			".spec.containers[0].volumeMounts[0].mountPath", `"/mnt"`},
		{"a mount over the key stores", "spec: {volumes: [{name: fast, emptyDir: {}}], containers: [{name: CONTAINER, volumeMounts: [{name: fast, mountPath: /etc/sparkpipeline/tls}]}]}",
			".spec.containers[0].volumeMounts[0].mountPath", `"/etc/sparkpipeline/tls"`},
		{"a sidecar that writes to the checkpoint", "spec: {containers: [{name: CONTAINER}, {name: s, image: i, volumeMounts: [{name: checkpoint, mountPath: /c}]}]}",
			".spec.containers[1].volumeMounts[0].name", `"checkpoint"`},
		{"an init container that writes to it", "spec: {initContainers: [{name: s, image: i, volumeMounts: [{name: checkpoint, mountPath: /c}]}]}",
			".spec.initContainers[0].volumeMounts[0].name", `"checkpoint"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, role := range []string{"driver", "executor"} {
				in := caseNamed(t, "minimal")
				raw := template(t, strings.ReplaceAll(c.template, "CONTAINER", "spark-kubernetes-"+role))
				if role == "driver" {
					in.Pipeline.Spec.Driver.PodTemplate = raw
				} else {
					in.Pipeline.Spec.Executor.PodTemplate = raw
				}
				_, err := desired.Application(scheme(t), in)
				var invalid *desired.InvalidError
				if !errors.As(err, &invalid) {
					t.Fatalf("%s: got %v, expected an InvalidError", role, err)
				}
				if want := "spec." + role + ".podTemplate" + c.field; invalid.Field != want {
					t.Errorf("%s: the error names %s, expected %s", role, invalid.Field, want)
				}
				if !strings.Contains(invalid.Found, c.found) || invalid.Allowed == "" {
					t.Errorf("%s: %v does not say %s and what is allowed", role, err, c.found)
				}
			}
		})
	}
}

// What only the user says stays, and what both say is the operator's.
func TestTemplateIsMergedUnder(t *testing.T) {
	in := caseNamed(t, "minimal")
	in.Pipeline.Spec.Driver.PodTemplate = template(t, `
metadata:
  labels: {team: orders}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, supplementalGroups: [7]}
  nodeSelector: {disk: fast}
  tolerations: [{key: dedicated, operator: Exists}]
  containers:
  - name: spark-kubernetes-driver
    env: [{name: AWS_REGION, valueFrom: {configMapKeyRef: {name: c, key: k}}}, {name: MINE, value: yes-it-is}]
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
    volumeMounts: [{name: models, mountPath: /opt/models}, {name: models, mountPath: /tmp, subPath: tmp}]
  - name: sidecar
    image: registry.example.com/sidecar:1
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: checkpoint, mountPath: /look, readOnly: true}]
  volumes: [{name: models, configMap: {name: models}}]`)
	r, err := desired.Application(scheme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	got := pod(t, r, "driver")
	spec, spark := got.Spec, got.Spec.Containers[0]
	for what, ok := range map[string]bool{
		"the user's label":        got.Labels["team"] == "orders",
		"the user's node":         spec.NodeSelector["disk"] == "fast",
		"the user's groups":       len(spec.SecurityContext.SupplementalGroups) == 1 && spec.SecurityContext.SupplementalGroups[0] == 7,
		"the user's volume":       volumes(spec)["models"] && mounts(spark)["/opt/models"] == "models",
		"the user's sidecar":      len(spec.Containers) == 2 && mounts(spec.Containers[1])["/look"] == "checkpoint",
		"the user's variable":     environment(spark)["MINE"] == "yes-it-is",
		"the user's toleration":   len(spec.Tolerations) == 3 && spec.Tolerations[2].Key == "dedicated",
		"our tolerations":         spec.Tolerations[0].Key == "node.kubernetes.io/not-ready" && *spec.Tolerations[0].TolerationSeconds == 30,
		"our user":                *spec.SecurityContext.RunAsUser == 185,
		"our token":               *spec.AutomountServiceAccountToken,
		"our grace period":        *spec.TerminationGracePeriodSeconds == 60,
		"our variable":            environment(spark)["AWS_REGION"] == "us-west-2" && spark.Env[slices.IndexFunc(spark.Env, named("AWS_REGION"))].ValueFrom == nil,
		"our mount":               slices.ContainsFunc(spark.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/tmp" && m.Name == "tmp" && m.SubPath == "" }),
		"our volumes":             volumes(spec)["tmp"] && volumes(spec)["work"],
		"our read-only root":      *spark.SecurityContext.ReadOnlyRootFilesystem,
		"our period of the probe": spark.LivenessProbe.PeriodSeconds == 30 && spark.LivenessProbe.HTTPGet != nil && spark.LivenessProbe.Exec == nil,
	} {
		if !ok {
			t.Errorf("%s is not in the merged template: %+v", what, got)
		}
	}
}

func named(name string) func(corev1.EnvVar) bool {
	return func(e corev1.EnvVar) bool { return e.Name == name }
}

func volumes(spec corev1.PodSpec) map[string]bool {
	out := map[string]bool{}
	for _, v := range spec.Volumes {
		out[v.Name] = true
	}
	return out
}

func mounts(c corev1.Container) map[string]string {
	out := map[string]string{}
	for _, m := range c.VolumeMounts {
		out[m.MountPath] = m.Name
	}
	return out
}

func environment(c corev1.Container) map[string]string {
	out := map[string]string{}
	for _, e := range c.Env {
		out[e.Name] = e.Value
	}
	return out
}

// Whatever a template says, the state of the stream keeps its place.
func TestTemplateOfObjectStoreMayUseThePathOfTheVolume(t *testing.T) {
	in := caseNamed(t, "object-store")
	in.Pipeline.Spec.Executor.PodTemplate = template(t, `spec: {volumes: [{name: fast, emptyDir: {}}], containers: [{name: spark-kubernetes-executor, volumeMounts: [{name: fast, mountPath: /mnt/checkpoints}]}]}`)
	if _, err := desired.Application(scheme(t), in); err != nil {
		t.Errorf("no claim is mounted there: %v", err)
	}
}

func TestEnvironmentIsNotTheOperators(t *testing.T) {
	for _, c := range []struct{ pipeline, name, found string }{
		{"minimal", "AWS_REGION", `"AWS_REGION"`},
		{"minimal", "SPARKPIPELINE_BUCKET_BACKUPS", `"SPARKPIPELINE_BUCKET_BACKUPS"`},
		{"spark35", "AWS_SECRET_ACCESS_KEY", `"AWS_SECRET_ACCESS_KEY"`},
		{"object-store", "JDK_JAVA_OPTIONS", `"JDK_JAVA_OPTIONS"`},
		{"minimal", "A=B", `"A=B"`},
	} {
		in := caseNamed(t, c.pipeline)
		in.Pipeline.Spec.Application.Env = []corev1.EnvVar{{Name: c.name, Value: "x"}}
		_, err := desired.Application(scheme(t), in)
		var invalid *desired.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "spec.application.env[0].name" || invalid.Found != c.found {
			t.Errorf("%s in %s: got %v", c.name, c.pipeline, err)
		}
	}
	in := caseNamed(t, "minimal")
	in.Pipeline.Spec.Application.Env = []corev1.EnvVar{{Name: "JDK_JAVA_OPTIONS", Value: "-Xlog"}}
	if _, err := desired.Application(scheme(t), in); err != nil {
		t.Errorf("nobody else sets it there: %v", err)
	}
}

func TestWhatAnInstallLacks(t *testing.T) {
	in := caseNamed(t, "full")
	in.Defaults.JMXImage = ""
	refused(t, in, "spec.monitoring.jmx")

	in = caseNamed(t, "spark35")
	in.Pipeline.Spec.SparkVersion = "3.5.1"
	refused(t, in, "spec.sparkVersion")
	in.Facts.Encryption = v1alpha1.SecurityDisabled
	if _, err := desired.Application(scheme(t), in); err != nil {
		t.Errorf("without encryption there is nothing that Spark 3.5.1 lacks: %v", err)
	}
}

func refused(t *testing.T, in desired.Input, field string) {
	t.Helper()
	_, err := desired.Application(scheme(t), in)
	var invalid *desired.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != field || invalid.Allowed == "" {
		t.Errorf("got %v, expected an InvalidError of %s", err, field)
	}
}

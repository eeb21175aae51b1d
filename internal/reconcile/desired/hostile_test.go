// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// hostile would end a string, a command, a query or a template of any kind that
// it were pasted into.
const hostile = `"'; $(reboot) ${env:HOME} {{ .Labels }} } or vector(1) # \ ` + "`id`"

// A value that a user is free to choose arrives as it is, as a value of its own:
// it is never a part of a longer text, where it could mean something.
func TestFreeValuesStayValues(t *testing.T) {
	in := caseNamed(t, "full")
	s := &in.Pipeline.Spec
	s.Application.Arguments = []string{hostile, "--last"}
	s.Application.Env = []corev1.EnvVar{{Name: "NOTE", Value: hostile}}
	s.Application.SparkConf = v1alpha1.SparkConf{"spark.app.note": hostile}
	s.Application.MainApplicationFile = hostile
	s.Application.Dependencies.Jars = []v1alpha1.DependencyLocation{hostile}
	s.Image, s.Driver.PodTemplate, s.Executor.PodTemplate = hostile, nil, nil
	s.Restart.Nonce = hostile
	s.ObjectStore.Credentials.WorkloadIdentity.Annotations = map[string]v1alpha1.AnnotationValue{"eks.amazonaws.com/role-arn": hostile}
	s.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": hostile}
	s.Checkpoint.Volume.StorageClassName = hostile
	s.Monitoring.Alertmanager.Slack.Channel = hostile

	places := map[string]bool{}
	for _, o := range rendered(t, "hostile", in) {
		walk(o.Object.Object, "", func(path string, v any) {
			if leaf, ok := v.(string); ok && strings.Contains(leaf, "reboot") {
				places[o.Object.GetKind()+path] = true
				// The configuration of the agent is JSON: see TestAgentReadsHostileValues.
				if leaf != hostile && path != ".data.pipeline.json" {
					t.Errorf("%s: %s is %q", o.name, path, leaf)
				}
			}
		})
	}
	for _, want := range []string{
		"SparkApplication.spec.arguments[0]", "SparkApplication.spec.driver.template.spec.containers[0].env[6].value",
		"SparkApplication.spec.sparkConf.spark.app.note", "SparkApplication.spec.mainApplicationFile", "SparkApplication.spec.deps.jars[0]",
		"SparkApplication.spec.image", "Deployment.spec.template.spec.containers[0].image", "ServiceAccount.metadata.annotations.eks.amazonaws.com/role-arn",
		"PrometheusRule.metadata.labels.release", "PersistentVolumeClaim.spec.storageClassName",
		"AlertmanagerConfig.spec.receivers[1].slackConfigs[0].channel",
	} {
		if !places[want] {
			t.Errorf("the value is not at %s but at %v", want, places)
		}
	}
}

// The agent reads every value as it was written.
func TestAgentReadsHostileValues(t *testing.T) {
	in := caseNamed(t, "full")
	s := &in.Pipeline.Spec
	s.Checkpoint.Queries[0].Name, s.Checkpoint.Queries[0].Path = hostile, hostile+"\n\x01 "
	s.ObjectStore.Endpoint = "https://</script>" + hostile
	s.Sources.Kafka.BootstrapServers = hostile
	s.Network.Policy = v1alpha1.NetworkDisabled // It would refuse the endpoint.
	got := parse(t, child[corev1.ConfigMap](t, in, "agentconfig", "orders-full-agent").Data["pipeline.json"])
	if got.Queries[0].Name != hostile || got.Queries[0].Path != hostile+"\n\x01 " || got.ObjectStore.Endpoint != "https://</script>"+hostile ||
		got.Kafka.BootstrapServers != hostile {
		t.Errorf("got %+v", got)
	}
}

// quoted is a string of PromQL, which quotes as Go does.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// Names cannot be hostile by the schema. A query must not rest on that: with any
// name it keeps its structure.
func TestQueriesKeepTheirStructure(t *testing.T) {
	plain, evil := caseNamed(t, "full"), caseNamed(t, "full")
	evil.Pipeline.Name, evil.Pipeline.Namespace, evil.Pipeline.Spec.Namespace = `a"} or vector(1) or x{y="`, `b\`, `c"`
	a, b := expressions(t, plain), expressions(t, evil)
	if len(a) != 15 || len(b) != 15 {
		t.Fatalf("got %d and %d expressions, expected nine of alerts and six of panels", len(a), len(b))
	}
	for i := range a {
		if want, got := quoted.ReplaceAllString(a[i], `""`), quoted.ReplaceAllString(b[i], `""`); want != got {
			t.Errorf("with hostile names\n%s\nbecomes\n%s", want, got)
		}
	}
	const jobs = `job_name=~"a\"\\} or vector\\(1\\) or x\\{y=\"-(backup|snapshot|drill)-[0-9]+"`
	if !strings.Contains(b[7], jobs) {
		t.Errorf("%s does not match the very name, as %s does", b[7], jobs)
	}
}

// expressions are the queries of alerts and panels.
func expressions(t *testing.T, in desired.Input) []string {
	t.Helper()
	var out []string
	for _, g := range child[monitoringv1.PrometheusRule](t, in, "alerts", in.Pipeline.Name).Spec.Groups {
		for _, r := range g.Rules {
			out = append(out, r.Expr.String())
		}
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	data := child[corev1.ConfigMap](t, in, "dashboard", in.Pipeline.Name+"-dashboard").Data
	if err := json.Unmarshal([]byte(data[in.Pipeline.Name+".json"]), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
	}
	return out
}

// No value of a spec is part of a script or of a command.
func TestCommandsAreConstant(t *testing.T) {
	in := caseNamed(t, "object-store")
	plain := commands(t, in)
	s := &in.Pipeline.Spec
	s.ObjectStore.CASecret.Name, s.ObjectStore.Region = "other", hostile
	s.Checkpoint.Location, s.Image, s.SparkVersion = "s3a://acme-checkpoints/"+hostile, hostile, "4.0.99"
	s.Application.Arguments = []string{hostile}
	if diff := difference(plain, commands(t, in)); diff != "" {
		t.Errorf("commands depend on the spec:\n%s", diff)
	}
	if len(plain) < 3 {
		t.Errorf("only %v were looked at", plain)
	}
}

func commands(t *testing.T, in desired.Input) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, o := range rendered(t, "commands", in) {
		name := o.Object.GetName()
		if o.Name == desired.ChildCheck {
			name = o.Name // A digest of what it judges is part of its name.
		}
		for _, template := range podTemplates(t, o.Object) {
			for _, c := range containersOf(template.Spec) {
				if len(c.Command)+len(c.Args) > 0 {
					out[name+" "+c.Name] = text(t, []any{c.Command, c.Args})
				}
			}
		}
	}
	return out
}

// Settings that belong to the operator are refused also where a pipeline was
// stored before the schema knew them.
func TestOwnedSettingsAreRefused(t *testing.T) {
	for _, name := range []string{
		"spark.kubernetes.driver.volumes.hostPath.root.mount.path", "spark.kubernetes.authenticate.driver.serviceAccountName", "spark.master",
		"spark.hadoop.fs.s3a.secret.key", "spark.authenticate", "spark.sql.streaming.checkpointLocation", "spark.dynamicAllocation.enabled",
		"spark.x=y --conf spark.master",
	} {
		in := caseNamed(t, "minimal")
		in.Pipeline.Spec.Application.SparkConf = v1alpha1.SparkConf{name: "x"}
		_, err := desired.Application(scheme(t), in)
		var invalid *desired.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "spec.application.sparkConf" || !strings.Contains(invalid.Found, name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

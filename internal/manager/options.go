// SPDX-License-Identifier: Apache-2.0

// Package manager turns flags into a running operator: caches, controller,
// leader election, probes and metrics. It holds no logic of pipelines.
package manager

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

// Options of the operator, from its flags.
type Options struct {
	MetricsAddress      string
	ProbeAddress        string
	ProfileAddress      string
	LeaderElection      bool
	LeaderNamespace     string
	Namespaces          string
	DedicatedNamespaces bool
	InstallID           string
	Workers             int
	AgentImage          string
	JMXImage            string
	VeleroNamespace     string
	PrometheusNamespace string
	OperatorNamespace   string
	ReadWatch           bool
	Placement           string
	PlacementFile       string
	QuotaCeiling        string
	GracefulTimeout     time.Duration

	// Registry takes the operator's own gauges. nil: the one that the process
	// serves. With one for each, several operators can run in a process.
	Registry prometheus.Registerer
	// Logger of the operator. The zero value is the logger of the process.
	Logger logr.Logger
}

func (o Options) registry() prometheus.Registerer {
	if o.Registry == nil {
		return metrics.Registry
	}
	return o.Registry
}

// Bind declares the flags.
func (o *Options) Bind(fs *flag.FlagSet) {
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8443", "Address of the metrics, served over TLS to those whom the API server authorizes. 0 serves none.")
	fs.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz.")
	fs.StringVar(&o.ProfileAddress, "pprof-bind-address", "", "Address of Go's profiles below /debug/pprof, served without authorization: loopback alone is safe. Empty serves none.")
	fs.BoolVar(&o.LeaderElection, "leader-elect", true, "Elect a leader, so that one of several replicas works.")
	fs.StringVar(&o.LeaderNamespace, "leader-election-namespace", "", "Namespace of the lease. Empty: the one that the manager runs in.")
	fs.StringVar(&o.Namespaces, "namespaces", "", "Namespaces to work in, with commas between them. Empty: all. With a list no right beyond these namespaces is needed.")
	fs.BoolVar(&o.DedicatedNamespaces, "dedicated-namespaces", true, "Allow spec.namespace, for names that an admin listed on the SparkPipeline's namespace.")
	fs.StringVar(&o.InstallID, "install-id", "default", "Name of this install. A SparkPipeline that another install reconciles is left alone.")
	fs.IntVar(&o.Workers, "workers", 4, "Number of pipelines that are reconciled side by side.")
	fs.StringVar(&o.AgentImage, "agent-image", os.Getenv("OPERATOR_IMAGE"), "Image of the agent. Default: the environment variable OPERATOR_IMAGE.")
	fs.StringVar(&o.JMXImage, "jmx-image", "", "Image that holds the JMX exporter's jar at /jmx_prometheus_javaagent.jar, for spec.monitoring.jmx Injected.")
	fs.StringVar(&o.VeleroNamespace, "velero-namespace", "velero", "Namespace in which Velero looks for Schedules. With --namespaces it must be among them, or there are none.")
	fs.StringVar(&o.PrometheusNamespace, "prometheus-namespace", "", "Namespace of the cluster's Prometheus. Empty: any namespace may scrape.")
	fs.StringVar(&o.OperatorNamespace, "operator-namespace", os.Getenv("OPERATOR_NAMESPACE"), "Namespace that the operator runs in, which policies let in. Default: the environment variable OPERATOR_NAMESPACE.")
	fs.BoolVar(&o.ReadWatch, "read-watch", true, "Ask the pods that watch checkpoints, over HTTP, how the streams get on. Without it status.progress is Unknown.")
	fs.StringVar(&o.Placement, "placement", "none", "Preset of labels and tolerations for kinds of nodes: none, eks, gke, aks or karpenter.")
	fs.StringVar(&o.PlacementFile, "placement-file", "", "YAML file that maps OnDemand and Spot to nodeSelector and tolerations. It replaces the preset.")
	fs.StringVar(&o.QuotaCeiling, "quota-ceiling", "pods=1000,cpu=2000,memory=4Ti,storage=20Ti", "The most that spec.quota of one pipeline may ask for.")
	fs.DurationVar(&o.GracefulTimeout, "graceful-shutdown-timeout", 20*time.Second, "How long a pass under way may go on after a signal to stop.")
}

// namespaces lists the namespaces to work in; none means all.
func (o Options) namespaces() []string {
	var out []string
	for _, ns := range strings.Split(o.Namespaces, ",") {
		if ns = strings.TrimSpace(ns); ns != "" {
			out = append(out, ns)
		}
	}
	return out
}

// defaults are what builders need to know of this install.
func (o Options) defaults() (desired.Defaults, error) {
	placement, err := o.placement()
	if err != nil {
		return desired.Defaults{}, err
	}
	ceiling, err := parseCeiling(o.QuotaCeiling)
	if err != nil {
		return desired.Defaults{}, err
	}
	velero := o.VeleroNamespace
	if mine := o.namespaces(); len(mine) > 0 && !slices.Contains(mine, velero) {
		// The operator has no rights there.
		velero = ""
	}
	return desired.Defaults{
		AgentImage: o.AgentImage, JMXImage: o.JMXImage, VeleroNamespace: velero,
		PrometheusNamespace: o.PrometheusNamespace, OperatorNamespace: o.OperatorNamespace,
		DedicatedNamespaces: o.DedicatedNamespaces && len(o.namespaces()) == 0,
		QuotaCeiling:        ceiling, Placement: placement,
		Guard: true, AgentCommands: []string{"archive", "backup", "check", "drill", "snapshot", "watch"},
	}, nil
}

func (o Options) placement() (desired.Placement, error) {
	if o.PlacementFile == "" {
		p, ok := desired.Presets()[o.Placement]
		if !ok {
			return nil, fmt.Errorf("--placement: found %q; allowed: none, eks, gke, aks, karpenter", o.Placement)
		}
		return p, nil
	}
	text, err := os.ReadFile(o.PlacementFile)
	if err != nil {
		return nil, fmt.Errorf("--placement-file: %w", err)
	}
	p := desired.Placement{}
	if err := yaml.UnmarshalStrict(text, &p); err != nil {
		return nil, fmt.Errorf("--placement-file %s: %w", o.PlacementFile, err)
	}
	return p, nil
}

// parseCeiling reads name=quantity pairs.
func parseCeiling(text string) (desired.QuotaCeiling, error) {
	c := desired.QuotaCeiling{}
	for _, pair := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		q, err := resource.ParseQuantity(value)
		if err != nil {
			return c, fmt.Errorf("--quota-ceiling: %q: found %q; allowed: a quantity such as 400Gi", name, value)
		}
		switch name {
		case "pods":
			c.Pods = int32(q.Value())
		case "cpu":
			c.CPU = q
		case "memory":
			c.Memory = q
		case "storage":
			c.Storage = q
		default:
			return c, fmt.Errorf("--quota-ceiling: found %q; allowed: pods, cpu, memory, storage", name)
		}
	}
	return c, nil
}

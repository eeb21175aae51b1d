// SPDX-License-Identifier: Apache-2.0

// Package testdata holds the pipelines whose rendering the golden files show, for
// every test that wants to hold the same objects against something else. Nothing
// that ships imports it.
package testdata

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/manifest"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
)

//go:embed cases/*.yaml
var files embed.FS

// Case is one pipeline in one state of the cluster.
type Case struct {
	// Name of the manifest, without .yaml.
	Name string
	// Manifest as a user writes it.
	Manifest []byte
	// Input of the builders.
	Input desired.Input
}

// Cases returns all cases in the order of their names, made anew by each call.
// Objects are as an API server would store them.
func Cases() ([]Case, error) {
	manifests, err := fs.Glob(files, "cases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the cases: %w", err)
	}
	var out []Case
	for _, file := range manifests {
		c := Case{Name: strings.TrimSuffix(path.Base(file), ".yaml")}
		if c.Manifest, err = files.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read the case %s: %w", c.Name, err)
		}
		p, err := manifest.Parse(c.Manifest)
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", c.Name, err)
		}
		p.UID, p.Generation = types.UID("5a0c1d1e-0000-4000-8000-"+fmt.Sprintf("%012d", len(out)+1)), 1
		c.Input = desired.Input{Pipeline: p, Defaults: Defaults()}
		if err := surround(&c); err != nil {
			return nil, fmt.Errorf("case %s: %w", c.Name, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Defaults are the settings of the install that the cases are rendered by.
func Defaults() desired.Defaults {
	return desired.Defaults{
		AgentImage:          "registry.example.com/sparkpipeline-operator:v0.1.0",
		JMXImage:            "registry.example.com/jmx-exporter:1.5.0",
		VeleroNamespace:     "velero",
		DedicatedNamespaces: true,
		QuotaCeiling: desired.QuotaCeiling{Pods: 1000, CPU: resource.MustParse("2000"),
			Memory: resource.MustParse("4Ti"), Storage: resource.MustParse("20Ti")},
		Guard:         true,
		AgentCommands: []string{"backup", "archive", "snapshot", "drill", "watch", "check"},
	}
}

// surround adds what a manifest does not say: what there is in the cluster, and
// how its admin set the operator up.
func surround(c *Case) error {
	const run = "spark-0123456789abcdef0123456789abcdef"
	facts, defaults := &c.Input.Facts, &c.Input.Defaults
	facts.Encryption = v1alpha1.SecurityAES
	facts.APIServers = []desired.Endpoint{{Address: "10.0.0.10", Port: 6443}}
	switch c.Name {
	case "full":
		facts.Encryption, facts.AppSelector = v1alpha1.SecurityTLS, run
		facts.APIServers = append(facts.APIServers, desired.Endpoint{Address: "fd00::10", Port: 6443})
		defaults.Placement = desired.Presets()["eks"]
		defaults.PrometheusNamespace, defaults.OperatorNamespace = "monitoring", "sparkpipeline-system"
	case "tls":
		facts.Encryption = v1alpha1.SecurityTLS
		defaults.Placement = desired.Presets()["gke"]
	case "fixed-size":
		facts.Encryption, facts.AppSelector = v1alpha1.SecurityDisabled, run
	case "suspended":
		facts.AppSelector = run
		facts.NoSnapshots = "the storage cannot"
	case "shared":
		// A restore has put the state into its second claim.
		facts.Checkpoint, facts.Executors = c.Input.Pipeline.Name+"-checkpoint-r2", 7
		defaults.VeleroNamespace = ""
	case "running":
		facts.AppSelector = run
		facts.Roots = map[string]int64{"orders/agg": 41}
		scheme := runtime.NewScheme()
		if err := desired.AddToScheme(scheme); err != nil {
			return err
		}
		healthy, err := desired.Application(scheme, c.Input)
		if err != nil {
			return err
		}
		facts.Healthy = &healthy
	}
	return nil
}

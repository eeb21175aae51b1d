// SPDX-License-Identifier: Apache-2.0

// Command standin runs the stand-in for kubeflow's spark-operator against the
// cluster that KUBECONFIG names, until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"sparkpipeline.dev/operator/test/kubeflow"
	"sparkpipeline.dev/operator/test/kubeflow/controller"
	"sparkpipeline.dev/operator/test/kubeflow/simulation"
	"sparkpipeline.dev/operator/test/kubeflow/spark"
)

const (
	modeSimulated   = "simulated"
	modeSparkSubmit = "spark-submit"
)

// flags of the command.
type flags struct {
	namespaces, mode, sparkHome, node string
	submit                            time.Duration
	kubelet, statefulSets, garbage    bool
}

func main() {
	var f flags
	flag.StringVar(&f.namespaces, "namespaces", "", "namespaces to watch, separated by commas; empty: all")
	flag.StringVar(&f.mode, "mode", modeSimulated, "simulated: Spark is played; spark-submit: the real one is run")
	flag.DurationVar(&f.submit, "submit-duration", simulation.Brisk()[simulation.Submit], "how long a simulated spark-submit takes")
	flag.StringVar(&f.sparkHome, "spark-home", os.Getenv("SPARK_HOME"), "where bin/spark-submit is; for mode spark-submit")
	flag.BoolVar(&f.kubelet, "kubelet", false, "play the kubelet for Spark's pods; without it the cluster must start and remove them")
	flag.StringVar(&f.node, "node", "", "the node to bind simulated pods to; empty: a scheduler does that")
	flag.BoolVar(&f.statefulSets, "statefulsets", false, "play the StatefulSet controller")
	flag.BoolVar(&f.garbage, "garbage-collector", false, "play the garbage collector for what Spark's pods own")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), f); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	if err := kubeflow.InstallCRD(ctx, config); err != nil {
		return err
	}
	var namespaces []string
	if f.namespaces != "" {
		namespaces = strings.Split(f.namespaces, ",")
	}
	mgr, err := kubeflow.NewManager(config, namespaces...)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "standin-")
	if err != nil {
		return fmt.Errorf("make a directory for credentials: %w", err)
	}
	defer os.RemoveAll(dir)
	submitter, err := f.submitter(ctx, config, mgr, filepath.Join(dir, "kubeconfig"))
	if err != nil {
		return err
	}
	if err := controller.Add(mgr, controller.Options{Submitter: submitter}); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// submitter is what starts drivers. The real spark-submit gets credentials of its
// own, in a file.
func (f flags) submitter(ctx context.Context, config *rest.Config, mgr ctrl.Manager, kubeconfig string) (controller.Submitter, error) {
	switch f.mode {
	case modeSparkSubmit:
		if f.sparkHome == "" {
			return nil, fmt.Errorf("-spark-home: found nothing, want the directory of Spark, or SPARK_HOME")
		}
		if err := kubeflow.WriteSubmitterKubeconfig(ctx, config, kubeconfig); err != nil {
			return nil, err
		}
		return &spark.SparkSubmit{Home: f.sparkHome, Master: config.Host, Kubeconfig: kubeconfig, Log: os.Stderr}, nil
	case modeSimulated:
		pace := simulation.Brisk()
		pace[simulation.Submit] = f.submit
		return simulation.Add(mgr, simulation.Options{
			Pace: pace, Kubelet: f.kubelet, Node: f.node, StatefulSets: f.statefulSets, GarbageCollector: f.garbage,
		})
	}
	return nil, fmt.Errorf("-mode: found %q, want %s or %s", f.mode, modeSimulated, modeSparkSubmit)
}

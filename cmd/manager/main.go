// SPDX-License-Identifier: Apache-2.0

// Command manager runs the SparkPipeline operator.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"go.uber.org/zap/zapcore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"sparkpipeline.dev/operator/internal/manager"
)

func main() {
	var o manager.Options
	o.Bind(flag.CommandLine)
	logging := zap.Options{TimeEncoder: zapcore.RFC3339TimeEncoder}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))

	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func run(o manager.Options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	mgr, err := manager.New(config, o)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctrl.SetupSignalHandler()); err != nil {
		return errors.Join(errors.New("the manager stopped"), err)
	}
	return nil
}

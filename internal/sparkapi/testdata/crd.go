// SPDX-License-Identifier: Apache-2.0

// Package testdata holds kubeflow's CustomResourceDefinition of SparkApplication,
// for tests and for the stand-in that tests run. Nothing that ships imports it.
package testdata

import _ "embed" // The CRD below.

// SparkApplicationCRD is the definition as kubeflow's spark-operator installs it,
// in YAML.
//
//go:embed sparkoperator.k8s.io_sparkapplications.yaml
var SparkApplicationCRD []byte

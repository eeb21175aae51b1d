// SPDX-License-Identifier: Apache-2.0

// Package crd holds the CustomResourceDefinitions of the operator as they are
// installed, for code that needs their schema without a cluster.
package crd

import _ "embed"

// SparkPipelines is the CustomResourceDefinition of SparkPipeline, in YAML.
//
//go:embed sparkpipeline.dev_sparkpipelines.yaml
var SparkPipelines []byte

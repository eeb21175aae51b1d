// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of the SparkPipeline operator: what a user writes
// and what the operator answers. It leaks no type of the backend that runs
// Spark, so that another backend stays possible.
//
// Defaults are part of the schema. Whatever the API server stores is complete,
// and `kubectl explain` tells the truth; code that reads a SparkPipeline may rely
// on it. Switches are words, never On and Off: YAML reads those as booleans.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=sparkpipeline.dev
package v1alpha1

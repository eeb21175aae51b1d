// SPDX-License-Identifier: Apache-2.0

// Package sparkapi is the part of kubeflow's SparkApplication v1beta2 that the
// operator renders and reads, typed. kubeflow's own Go module is not used; a test
// holds every field here against the real CRD.
//
// +kubebuilder:object:generate=true
package sparkapi

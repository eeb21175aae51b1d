// SPDX-License-Identifier: Apache-2.0

// Package kubeflow stands in for kubeflow's spark-operator where the real one is
// not to be had: in tests, in CI and in the demo. It is never shipped. The folder's
// README says what is real and what stands in.
package kubeflow

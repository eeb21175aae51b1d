// SPDX-License-Identifier: Apache-2.0

// Package rendered judges what the operator renders with the libraries that judge
// it in a cluster: Pod Security Admission, Prometheus and label selectors. It is a
// module of its own so that the operator does not depend on Prometheus.
package rendered

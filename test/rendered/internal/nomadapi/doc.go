// SPDX-License-Identifier: Apache-2.0

// Package api stands in for Nomad's client, which a part of Prometheus imports
// that nothing here builds: service discovery. It lets the module graph resolve
// without it.
package api

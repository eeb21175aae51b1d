// SPDX-License-Identifier: Apache-2.0

// Package manifest reads manifests of SparkPipelines without a cluster and
// answers as an API server would: what it would store, with the defaults of the
// schema, and why it would refuse. It runs the API server's own code over the
// project's own CustomResourceDefinition, so the two cannot disagree.
//
// It must not judge what the schema leaves to the controller (cron schedules,
// objectives, retention), and it must not be imported by the manager, which gets
// complete objects from the API server.
package manifest

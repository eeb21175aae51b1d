// SPDX-License-Identifier: Apache-2.0

// Package sparkconf knows which settings of Spark belong to the operator, and
// which field of a SparkPipeline says the same. The table is the only place:
// hack/sparkconf makes the rules of the CustomResourceDefinition from it.
//
// A setting is refused for one of three reasons: a field of the spec says it; a
// promise of the operator rests on it (ports that network policies open, metrics
// that alerts read, where state is written); or it would reach beyond the
// pipeline. The last matters most: spark-submit runs inside the backend's own
// pod, so a setting that it acts on could read that pod's files or use its
// rights. What the driver does with a setting is no boundary, because the
// application can set anything there by itself.
package sparkconf

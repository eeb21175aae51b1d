// SPDX-License-Identifier: Apache-2.0

// Package desired answers one question: which objects should a SparkPipeline
// have, byte for byte? It is pure: a builder sees an Input and nothing else, no
// client, no clock, no environment, no logger. What a builder needs to know of
// the cluster is a field of Facts.
//
// children is the one list of what a pipeline is made of. Render, the watches,
// the prune, deletion, the golden files and the check of the operator's role all
// walk it. To add a child: a file with its builder, a line in children, a golden
// file.
package desired

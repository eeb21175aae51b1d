// SPDX-License-Identifier: Apache-2.0

// Package observe says what is: it gathers, from caches alone, the facts that
// the rest of a pass decides by. It writes nothing and decides nothing.
//
// What it reads is trimmed before it is kept (see Trim): of pods, stateful sets
// and SparkApplications only what a decision needs, so that a thousand pipelines
// fit into a small process and the backend's busy status causes no work.
package observe

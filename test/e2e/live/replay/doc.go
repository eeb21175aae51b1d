// SPDX-License-Identifier: Apache-2.0

// Package replay holds copies and repairs of checkpoints against real Spark: a query
// counts files until its process is killed, what the agent made of its checkpoint is
// started twice with other batch boundaries, and the whole state must equal the input.
// One restart would not do: a snapshot of another timeline is read at the second. It
// needs Java 17 and no cluster.
package replay

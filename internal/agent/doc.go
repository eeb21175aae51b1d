// SPDX-License-Identifier: Apache-2.0

// Package agent is the command line that works on the state of one pipeline:
// it backs checkpoints up, verifies, restores and prunes them, watches them, probes
// buckets and archives event logs. The operator's jobs run it with --config; on a laptop the
// same commands take flags.
//
// A command prints its result on standard output, as text or with -o json. What
// it does meanwhile goes to standard error. In a pod the result is the
// termination message too. Exit codes are the constants Code….
package agent

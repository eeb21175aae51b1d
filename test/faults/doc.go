// SPDX-License-Identifier: Apache-2.0

// Package faults breaks the operator at each of its writes and compares what
// becomes of it with a run that nobody disturbed. The operator runs in the test's
// process on a real API server; a transport between the two fails requests, loses
// answers, kills the operator and serves old views.
//
// FAULTS_SAMPLE is the number of runs to draw (0: all), FAULTS_SEED what they are
// drawn by, FAULTS_PARALLEL how many go side by side, and FAULTS_ONLY replays the
// run of a name that was printed.
package faults

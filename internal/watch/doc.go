// SPDX-License-Identifier: Apache-2.0

// Package watch judges from outside whether the streaming queries of a pipeline
// make progress and whether their checkpoints are sound. Looks at the checkpoint,
// readings of brokers and the time are handed in; nothing here reads a file, a
// network or a clock.
//
// The newest file of commits/ is the newest batch that is done, its time is when.
// A newer file of offsets/ is the batch under way since its time. What no file can
// tell is whether a query without a batch under way has nothing to do or nobody
// who does it; only the lag behind its source does.
package watch

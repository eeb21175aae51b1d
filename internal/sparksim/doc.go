// SPDX-License-Identifier: Apache-2.0

// Package sparksim simulates how Spark Structured Streaming writes a checkpoint
// root: in which order, by temporary file and rename, what retention removes, what
// the maintenance of state stores writes and removes meanwhile, and what a driver
// does that was killed at any point and started again. The bytes are real: what
// package checkpoint accepts of Spark it accepts of this, and Start reads them by
// Spark's own rules of recovery.
//
// A Query makes one file operation with every Step and has no goroutine, so that
// a seed is a history. It counts the rows of an endless input by key. State is a
// function of how many rows were read, whatever the batches were, and so a copy
// of a root can be judged: it starts and is right, it does not start, or it is
// silently wrong (Judge).
//
// Simulated are the HDFS-backed state store, RocksDB, and RocksDB with changelogs,
// of checkpoint format 1; sources with their position in the offsets (as Kafka) and
// with a log of their own that is compacted (as files).
package sparksim

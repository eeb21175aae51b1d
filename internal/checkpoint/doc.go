// SPDX-License-Identifier: Apache-2.0

// Package checkpoint reads checkpoint roots of Spark Structured Streaming: of
// Spark 3.5 to 4.3, with the HDFS-backed state store, RocksDB, RocksDB with
// changelogs, and both formats of the checkpoint (spark.sql.streaming.stateStore.
// checkpointFormatVersion 1 and 2).
//
// A root belongs to one streaming query:
//
//	metadata                    the id of the query
//	offsets/<N>                 what batch N reads; written before the batch
//	commits/<N>                 batch N is done; written after it
//	sources/<id>/               the log of a source
//	state/<op>/<partition>/     the default store of a stateful operator
//	state/<op>/<partition>/<store>/   its named stores
//
// State version V is the state after batch V-1, so committed batch N needs
// version N+1 of every store. The restorable set S(N) is the smallest set of files
// from which Spark goes on after batch N with the right result; a copy of it was
// started by real Spark for every kind of root that this package knows.
//
// Everything here but RelocateDir only reads. Names and numbers in a root are not trusted: sizes
// are bounded, and no name leads out of the root.
package checkpoint

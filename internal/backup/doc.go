// SPDX-License-Identifier: Apache-2.0

// Package backup keeps recovery points of a pipeline in an object store.
//
// A recovery point is one consistent cut of every query root of a pipeline. It
// exists from the moment its manifest does, which is written last; what a crash
// leaves before that is not a point and is collected later. Below the prefix of
// one owner:
//
//	owner/<epoch>.json      who may write here; the highest epoch counts
//	objects/<sha256>-<run>  content: a large file, a pack of small ones, a file list
//	points/<id>.json        the manifest of a point
//	verified/<id>.json      what was found when the point was verified
//	condemned.json.gz       objects that no point names, and since when
//
// An object's key holds the hash of its content, so that it can be checked by
// itself, and the run that wrote it, so that a key never comes back once it was
// deleted. The second is what makes collecting safe beside a running backup: a
// run can only name objects of its own and those that a point it started from
// names. See Prune for the rest of the argument.
//
// The package reads no clock but to stamp points and to bound a run, knows
// neither Kubernetes nor Spark, and takes what belongs to a cut from its caller.
package backup

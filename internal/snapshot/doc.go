// SPDX-License-Identifier: Apache-2.0

// Package snapshot takes CSI VolumeSnapshots of a checkpoint's claim and removes
// old ones. It writes on each what is in it: which committed batch of each query
// root can be gone on with, and how that was judged.
//
// A snapshot of a live volume is what a crash at that moment would have left. What
// is promised of it is what was complete on the volume before the cut and was still
// there, unchanged, after it: Spark never writes a file of its logs and state twice,
// so it was there in between.
package snapshot

// SPDX-License-Identifier: Apache-2.0

// Package status tells the user what a pass saw and did. It is pure: a Pass goes
// in, the whole status comes out. Nothing reads a condition back to decide by.
package status

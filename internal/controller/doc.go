// SPDX-License-Identifier: Apache-2.0

// Package controller runs the loop: observe, decide, stop if need be, render,
// apply, prune, start, report. It holds the client; the packages that it calls
// are pure or have one kind of effect each: apply writes children, this package
// writes the SparkApplication and the status.
package controller

// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package agent

import (
	"io/fs"

	"sparkpipeline.dev/operator/internal/watch"
)

// volumeOf knows nothing here.
func volumeOf(fs.FileInfo) watch.Volume { return watch.Volume{} }

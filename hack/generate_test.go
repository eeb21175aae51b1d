// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"os/exec"
	"testing"
)

// TestGeneratedFilesAreCurrent fails, with the difference, when somebody changed
// a type or a marker and did not run the generators.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	out, err := exec.Command("./generate.sh", "--check").CombinedOutput()
	if err != nil {
		t.Fatalf("hack/generate.sh --check: %v\n%s", err, out)
	}
}

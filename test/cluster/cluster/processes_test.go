package cluster_test

import (
	"os/exec"
	"strings"
	"testing"
)

// processesOf returns the command lines of all processes of this machine that
// mention dir: it asks the system, not the code under test.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		state, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.Contains(args, dir) && !strings.HasPrefix(state, "Z") {
			found = append(found, args)
		}
	}
	return found
}

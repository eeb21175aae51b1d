package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStopEndsWhatWasStarted(t *testing.T) {
	dir := t.TempDir()
	table := newTable(t, dir)
	if err := table.Start("sleeper", []string{"sleep", "600"}); err != nil {
		t.Fatal(err)
	}
	pid := table.PID("sleeper")
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("process %d does not run: %v", pid, err)
	}
	if err := table.Start("sleeper", []string{"sleep", "600"}); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("starting it twice: error is %v, want one that says that it runs", err)
	}
	// Another process would find it by its files.
	other := newTable(t, dir)
	if got := other.PID("sleeper"); got != pid {
		t.Fatalf("another table finds process %d, want %d", got, pid)
	}
	if err := other.Stop(t.Context(), "sleeper", time.Minute); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process to be gone", func() bool { return syscall.Kill(pid, 0) != nil })
	if err := other.Stop(t.Context(), "sleeper", time.Minute); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	table := newTable(t, t.TempDir())
	if err := table.Start("deaf", []string{"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its trap", func() bool { return table.Tail("deaf", 1) == "deaf" })
	if err := table.Stop(t.Context(), "deaf", 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if table.Running("deaf") {
		t.Error("it still runs")
	}
}

func TestAReusedProcessIDIsNotSignalled(t *testing.T) {
	dir := t.TempDir()
	table := newTable(t, dir)
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	file := filepath.Join(dir, "run", "gone.pid")
	if err := os.WriteFile(file, []byte(strconv.Itoa(stranger.Process.Pid)+" 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := table.Stop(t.Context(), "gone", time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := startTime(stranger.Process.Pid); err != nil {
		t.Errorf("the stranger was ended: %v", err)
	}
}

// TestProgramsDieWithTheirStarter kills a process that has started one of its
// own: this test, run again, is that process.
func TestProgramsDieWithTheirStarter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child with its parent")
	}
	if dir := os.Getenv("STARTER_DIR"); dir != "" {
		table := newTable(t, dir)
		if err := table.Start("child", []string{"sleep", "600"}); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	dir := t.TempDir()
	starter := exec.Command(os.Args[0], "-test.run=^TestProgramsDieWithTheirStarter$")
	starter.Env = append(os.Environ(), "STARTER_DIR="+dir)
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	table := newTable(t, dir)
	eventually(t, "the child to run", func() bool { return table.Running("child") })
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := starter.Wait(); err == nil {
		t.Fatal("the starter was not killed")
	}
	eventually(t, "the child to end", func() bool { return !table.Running("child") })
}

func newTable(t *testing.T, dir string) *Table {
	t.Helper()
	table, err := New(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	return table
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited 20 s for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

package process

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// attributes puts a child into a session of its own, out of reach of the
// terminal's interrupt.
func attributes(detached bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if !detached {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}

// startTime returns what tells a process from another with the same id: its
// start in clock ticks since boot, field 22 of /proc/<pid>/stat (proc(5)). A
// process that has ended, reaped or not, has none.
func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("read process %d: %w", pid, err)
	}
	// The second field is the name, in parentheses, and may hold anything.
	stat := string(data)
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 20 || fields[0] == "X" || fields[0] == "Z" && !threadsLeft(pid) {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}

// threadsLeft says that threads of a process whose first thread has ended are
// still ending. They hold its files and ports until the last one is gone.
func threadsLeft(pid int) bool {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && len(tasks) > 1
}

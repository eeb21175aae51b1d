package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupRoot is the control group of all containers, so that they can be told
// from everything else on the machine.
const cgroupRoot = "/sparkpipeline"

const cgroupTimeout = 20 * time.Second

// cgroupDirs returns the directories of the control group: one in the unified
// hierarchy, or one for each controller of the old ones.
func cgroupDirs() ([]string, error) {
	const mount = "/sys/fs/cgroup"
	if _, err := os.Stat(mount + "/cgroup.controllers"); err == nil {
		return []string{mount + cgroupRoot}, nil
	}
	hierarchies, err := os.ReadDir(mount)
	if err != nil {
		return nil, fmt.Errorf("list control groups: %w", err)
	}
	var dirs []string
	for _, h := range hierarchies {
		if h.IsDir() {
			dirs = append(dirs, filepath.Join(mount, h.Name(), cgroupRoot))
		}
	}
	return dirs, nil
}

// createCgroup makes the control group: kubelet wants its root to be there.
func createCgroup() error {
	dirs, err := cgroupDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create control group: %w", err)
		}
	}
	return nil
}

// deleteCgroup kills what is left in the control group and removes it.
func deleteCgroup() error {
	dirs, err := cgroupDirs()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(cgroupTimeout)
	for {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, removeCgroup(dir))
		}
		err := errors.Join(errs...)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("delete control group: %w", err)
		}
		time.Sleep(runtimePoll)
	}
}

// removeCgroup kills the processes of one directory and of those below it, and
// removes them from the bottom up. It fails while one of them is still ending.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, field := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return os.Remove(dir)
}

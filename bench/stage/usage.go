// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// Usage is what a process has used of the machine.
type Usage struct {
	// CPU seconds, user and system.
	CPU float64
	// RSS and PeakRSS in bytes.
	RSS, PeakRSS int64
}

// usage reads /proc, see proc(5).
func usage(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
	}
	// The second field is the name, in parentheses, and may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, errUser := strconv.ParseFloat(fields[11], 64)
	system, errSystem := strconv.ParseFloat(fields[12], 64)
	if errUser != nil || errSystem != nil {
		return Usage{}, fmt.Errorf("read the CPU time of process %d: found %q and %q; allowed: numbers", pid, fields[11], fields[12])
	}
	u := Usage{CPU: (user + system) / ticksPerSecond}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &u.RSS
		case "VmHWM":
			into = &u.PeakRSS
		default:
			continue
		}
		if _, err := fmt.Sscan(value, into); err != nil {
			return Usage{}, fmt.Errorf("read %s of process %d: %w", name, pid, err)
		}
		*into *= 1024 // The file counts in KiB.
	}
	return u, nil
}

// ServerCPU is how many CPU seconds the API server and etcd have used together.
func (s *Stage) ServerCPU() (float64, error) {
	var sum float64
	for _, name := range []string{"kube-apiserver", "etcd"} {
		u, err := usage(s.table.PID(name))
		if err != nil {
			return 0, err
		}
		sum += u.CPU
	}
	return sum, nil
}

// LoadAverage of the machine over the last minute.
func LoadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("read the load average: %w", err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("read the load average: %w", err)
	}
	return load, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is one run of a tool.
type sample struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpuSeconds"`
	// RSS is the peak in MiB.
	RSS float64 `json:"rssMiB"`
}

// run runs a tool to its end and measures it.
func (b *bench) run(ctx context.Context, t tool, args []string) (sample, []byte, error) {
	cmd := exec.CommandContext(ctx, t.program, args...)
	cmd.Env = b.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, nil, err
	}
	ended := make(chan struct{})
	peak := make(chan float64)
	go func() { peak <- watchPeak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	took := time.Since(begin)
	close(ended)
	s := sample{Seconds: took.Seconds(), RSS: <-peak}
	if err != nil {
		return s, nil, fmt.Errorf("%s %s: %w: %s%s", t.name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	s.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return s, stdout.Bytes(), nil
}

// watchPeak reads the highest resident size of a process while it lives. The
// system's own account at the end counts the parent's memory too.
func watchPeak(pid int, ended <-chan struct{}) float64 {
	peak := 0.0
	for {
		select {
		case <-ended:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(line, "VmHWM:"); found {
				kib, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
				peak = max(peak, kib/1024)
			}
		}
	}
}

// loadAverage of the last minute.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	load, _ := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	return load
}

// serve starts the S3 server as a process of its own.
func (b *bench) serve(ctx context.Context, dir string) (url string, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, b.self, "serve", dir)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return cmd.Wait()
	}
	// The server says other things too.
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "http://") {
			go func() {
				for lines.Scan() {
					continue
				}
			}()
			return lines.Text(), stop, nil
		}
	}
	return "", nil, errors.Join(errors.New("the S3 server did not start"), stop())
}

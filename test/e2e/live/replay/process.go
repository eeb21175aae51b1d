// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sparkpipeline.dev/operator/test/e2e/world"
)

// Process is a Spark of its own that runs queries on command.
type Process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   string

	mu    sync.Mutex
	lines []string
	ended bool
}

// Spark says what processes run.
type Spark struct {
	// Home has bin/spark-submit; Jar the sample programs.
	Home, Jar string
	// Dir gets the logs.
	Dir string
}

// class reads commands; see test/cluster/spark/app.
const class = "dev.sparkpipeline.sample.CountFiles"

// Start starts a process with settings of Spark, and returns when it takes commands.
func (s Spark) Start(ctx context.Context, name string, settings ...string) (*Process, error) {
	args := []string{"--master", "local[2]", "--driver-memory", "1g", "--class", class}
	for _, setting := range append([]string{
		"spark.ui.enabled=false", "spark.sql.shuffle.partitions=2", "spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1",
		"spark.local.dir=" + filepath.Join(s.Dir, "tmp"),
	}, settings...) {
		args = append(args, "--conf", setting)
	}
	p := &Process{log: filepath.Join(s.Dir, name+".log")}
	p.cmd = exec.CommandContext(ctx, filepath.Join(s.Home, "bin", "spark-submit"), append(args, s.Jar)...)
	p.cmd.Env = append(os.Environ(), "SPARK_HOME="+s.Home)
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("start Spark: %w", err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start Spark: %w", err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start Spark: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Spark: %w", err)
	}
	go p.read(stdout)
	_, err = p.await(ctx, 10*time.Minute, "READY")
	return p, err
}

func (p *Process) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
}

// await waits for the newest line with one of the prefixes.
func (p *Process) await(ctx context.Context, within time.Duration, prefixes ...string) (string, error) {
	var found string
	err := world.Eventually(ctx, within, strings.Join(prefixes, " or "), func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range slices.Backward(p.lines) {
			for _, prefix := range prefixes {
				if strings.HasPrefix(line, prefix) {
					found = line
					return nil
				}
			}
		}
		if p.ended {
			return errors.New("the process has ended")
		}
		return errors.New("not said")
	})
	if err != nil {
		err = fmt.Errorf("%w; its log is %s", err, p.log)
	}
	return found, err
}

// Run starts a query that runs until the process ends.
func (p *Process) Run(root, input string, filesPerBatch int, provider string) error {
	_, err := fmt.Fprintf(p.stdin, "run %s %s %d %s\n", root, input, filesPerBatch, provider)
	return err
}

// Batch waits until a query has finished a batch.
func (p *Process) Batch(ctx context.Context, root string, id int) error {
	_, err := p.await(ctx, 5*time.Minute, fmt.Sprintf("BATCH %s %d", root, id))
	return err
}

// Drain runs a query over all of its input and answers with its whole state.
func (p *Process) Drain(ctx context.Context, root, input string, filesPerBatch int, provider string) (string, error) {
	if _, err := fmt.Fprintf(p.stdin, "drain %s %s %d %s\n", root, input, filesPerBatch, provider); err != nil {
		return "", err
	}
	line, err := p.await(ctx, 10*time.Minute, "STATE "+root+" ", "FAILED "+root+" ")
	if err != nil {
		return "", err
	}
	if failure, failed := strings.CutPrefix(line, "FAILED "+root+" "); failed {
		return "", errors.New("Spark refuses " + root + ": " + failure)
	}
	return strings.TrimPrefix(line, "STATE "+root+" "), nil
}

// Kill ends the process with SIGKILL: nothing in it can end in order.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill Spark: %w", err)
	}
	_ = p.cmd.Wait() // It was killed.
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sparkpipeline.dev/operator/test/e2e/world"
)

const stopGrace = 40 * time.Second

// replicas are the names of the operator's processes.
var replicas = []string{"operator-1", "operator-2"}

// Replica is a process of the operator.
type Replica struct {
	// Name of the process.
	Name string

	stage    *Stage
	profiles string
	probes   string
	// logFrom is where the log of this process begins in its file.
	logFrom int64
}

// StartOperator runs a replica, numbered from 0, as the Deployment would, and
// returns when it answers its probe. It may still be waiting for the lease.
func (s *Stage) StartOperator(ctx context.Context, n int) (*Replica, error) {
	r := &Replica{Name: replicas[n], stage: s}
	kubeconfig := filepath.Join(s.Cluster.Dir, r.Name+".kubeconfig")
	if err := s.Cluster.ServiceAccountKubeconfig(ctx, systemNamespace, operatorAccount, kubeconfig); err != nil {
		return nil, err
	}
	var err error
	if r.profiles, err = freeAddress(); err != nil {
		return nil, err
	}
	if r.probes, err = freeAddress(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(s.table.Log(r.Name)); err == nil {
		r.logFrom = info.Size()
	}
	// The memory limit is that of config/manager. Metrics are off because whoever
	// scrapes them makes the operator ask the API server who that is.
	err = s.table.Start(r.Name, []string{"/usr/bin/env", "GOMEMLIMIT=460MiB", s.manager,
		"--kubeconfig", kubeconfig, "--leader-election-namespace", systemNamespace, "--metrics-bind-address", "0",
		"--health-probe-bind-address", r.probes, "--pprof-bind-address", r.profiles, "--agent-image", "sparkpipeline-operator:bench"})
	if err != nil {
		return nil, fmt.Errorf("start the operator (`make build` makes it): %w", err)
	}
	err = world.Eventually(ctx, time.Minute, "the operator is ready", func() error {
		if !s.table.Running(r.Name) {
			return errors.New("it has ended")
		}
		resp, err := http.Get("http://" + r.probes + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.Tail(r.Name))
	}
	return r, nil
}

// Working complains until the replica leads, its caches are synced and its workers
// run, by its own log: nothing else says so at once.
func (r *Replica) Working() error {
	f, err := os.Open(r.stage.table.Log(r.Name))
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", r.Name, err)
	}
	defer f.Close()
	if _, err := f.Seek(r.logFrom, io.SeekStart); err != nil {
		return fmt.Errorf("read the log of %s: %w", r.Name, err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", r.Name, err)
	}
	if !strings.Contains(string(text), `"Starting workers"`) {
		return errors.New("its workers do not run yet")
	}
	return nil
}

// Stop ends the replica in order, so that it gives its lease back.
func (r *Replica) Stop(ctx context.Context) error {
	return r.stage.table.Stop(ctx, r.Name, stopGrace)
}

// Kill ends the replica at once.
func (r *Replica) Kill(ctx context.Context) error {
	if err := r.stage.table.Signal(r.Name, syscall.SIGKILL); err != nil {
		return err
	}
	return r.stage.table.Stop(ctx, r.Name, stopGrace)
}

// Usage is what the replica has used so far.
func (r *Replica) Usage() (Usage, error) { return usage(r.stage.table.PID(r.Name)) }

// Heap is how many bytes the replica's live objects take, after a collection.
func (r *Replica) Heap(ctx context.Context) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.profiles+"/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, fmt.Errorf("ask for the heap: %w", err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask for the heap: %w", err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "# HeapAlloc = "); ok {
			var n int64
			if _, err := fmt.Sscan(text, &n); err != nil {
				return 0, fmt.Errorf("read the heap's size: %w", err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("the profile tells no size of the heap: %w", errors.Join(lines.Err(), errors.New(resp.Status)))
}

// freeAddress finds a port on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

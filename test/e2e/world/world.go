// SPDX-License-Identifier: Apache-2.0

// Package world sets a stage for the operator on a real control plane: cluster,
// optional APIs, the install of config/default, the manager under its own
// ServiceAccount, and the stand-in for kubeflow's controller. The demo and the
// control-plane tests play on it.
package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/internal/manager"
)

// World is a running stage.
type World struct {
	// Root of the project's tree.
	Root string
	// Dir holds everything that the stage writes.
	Dir string
	// Kubeconfig is the path of a kubeconfig with all rights.
	Kubeconfig string
	Config     *rest.Config
	Client     client.Client
	// Log gets progress.
	Log io.Writer

	bin string
}

// Up starts a control plane with simulated nodes in dir and leaves it running.
// What has to be built is built, with progress on log.
func Up(ctx context.Context, root, dir string, log io.Writer) (*World, error) {
	return start(ctx, root, dir, log, "controlplane", "--kwok=3")
}

// UpNode starts a cluster with one real node, which has the images of the given
// archives. It needs Linux and root.
func UpNode(ctx context.Context, root, dir string, log io.Writer, images ...string) (*World, error) {
	args := []string{"--node"}
	for _, image := range images {
		args = append(args, "--image", image)
	}
	return start(ctx, root, dir, log, "node", args...)
}

func start(ctx context.Context, root, dir string, log io.Writer, group string, args ...string) (*World, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the stage: %w", err)
	}
	w := &World{Root: root, Dir: dir, Log: log}
	var err error
	if w.bin, err = w.cluster(ctx, "build", group); err != nil {
		return nil, err
	}
	w.Kubeconfig, err = w.cluster(ctx, append([]string{"up", "--dir", filepath.Join(dir, "cluster")}, args...)...)
	if err != nil {
		return nil, err
	}
	return w, w.connect()
}

// On takes a control plane that already runs for a stage: kubeconfig has all
// rights, bin is the directory of kubectl, and dir is where the stage writes.
func On(root, dir, bin, kubeconfig string, log io.Writer) (*World, error) {
	w := &World{Root: root, Dir: dir, Kubeconfig: kubeconfig, Log: log, bin: bin}
	return w, w.connect()
}

func (w *World) connect() error {
	var err error
	w.Config, err = clientcmd.BuildConfigFromFlags("", w.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	w.Config.QPS = -1 // What is measured here is the operator, not this client.
	w.Client, err = client.New(w.Config, client.Options{Scheme: manager.Scheme()})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return nil
}

// Beside is a stage without a cluster, for processes that need none.
func Beside(root, dir string, log io.Writer) *World { return &World{Root: root, Dir: dir, Log: log} }

// Down stops the processes of the stage in dir, and its cluster.
func Down(ctx context.Context, root, dir string, log io.Writer) error {
	w := &World{Root: root, Dir: dir, Log: log}
	var errs []error
	for _, name := range []string{managerProcess, standInProcess, s3Process} {
		errs = append(errs, w.stop(ctx, name))
	}
	cluster := filepath.Join(dir, "cluster")
	if _, err := os.Stat(cluster); err == nil {
		_, err := w.cluster(ctx, "down", "--dir", cluster)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Cluster runs the program of test/cluster for others: see cluster.
func Cluster(ctx context.Context, root string, log io.Writer, args ...string) (string, error) {
	return (&World{Root: root, Log: log}).cluster(ctx, args...)
}

// cluster runs the program of test/cluster, which has a module of its own, and
// answers with the last line that it prints.
func (w *World) cluster(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "."}, args...)...)
	cmd.Dir = filepath.Join(w.Root, "test", "cluster")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, w.Log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cluster %s: %w", strings.Join(args, " "), err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1], nil
}

// Kubectl runs kubectl as the administrator and answers with what it prints.
func (w *World) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "kubectl"), append([]string{"--kubeconfig", w.Kubeconfig}, args...)...)
	cmd.Dir = w.Root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// spawn starts a program that outlives this one. Its output goes to
// Dir/logs/<name>.log and its process id to Dir/<name>.pid.
func (w *World) spawn(name string, env []string, program string, args ...string) error {
	if err := os.MkdirAll(filepath.Join(w.Dir, "logs"), 0o755); err != nil {
		return fmt.Errorf("make the directory of logs: %w", err)
	}
	logFile, err := os.OpenFile(filepath.Join(w.Dir, "logs", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer logFile.Close()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = cmd.Wait() }() // Reaps it if this process is still there.
	return os.WriteFile(w.pidFile(name), fmt.Appendf(nil, "%d", cmd.Process.Pid), 0o644)
}

func (w *World) pidFile(name string) string { return filepath.Join(w.Dir, name+".pid") }

// stop ends a program that spawn started, and waits for its end.
func (w *World) stop(ctx context.Context, name string) error {
	text, err := os.ReadFile(w.pidFile(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the process id of %s: %w", name, err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return fmt.Errorf("read the process id of %s: %w", name, err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	err = Eventually(ctx, 40*time.Second, name+" has ended", func() error {
		if gone(pid) {
			return nil
		}
		return errors.New("it still runs")
	})
	if err != nil {
		return err
	}
	return os.Remove(w.pidFile(name))
}

// gone says that a process has ended. One that nobody has reaped yet has, too.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "Z")
}

// Eventually looks again and again until look has no complaint, at most for the
// given time.
func Eventually(ctx context.Context, within time.Duration, what string, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, within, err)
		case <-tick.C:
		}
	}
}

// Tail is the end of the log of a process that the stage runs.
func (w *World) Tail(name string) string {
	text, err := os.ReadFile(filepath.Join(w.Dir, "logs", name+".log"))
	if err != nil {
		return err.Error()
	}
	const most = 8000
	return "--- the end of the log of " + name + "\n" + string(text[max(0, len(text)-most):])
}

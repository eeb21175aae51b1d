// SPDX-License-Identifier: Apache-2.0

// Package live plays the operator on a real node: real containers, real Spark, a
// real spark-submit. What stands in is kubeflow's controller alone. It needs Linux
// and root.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/test/e2e/world"
)

// Stage is a real node with the operator and one pipeline.
type Stage struct {
	*world.World
	begin time.Time
}

// sparkUser is the user of the image, who must be able to write to the volumes.
const sparkUser = 185

var (
	pipelineKey = client.ObjectKey{Namespace: "live", Name: "counts"}
	driverKey   = client.ObjectKey{Namespace: "live", Name: "counts-driver"}
)

// Up starts the node with both images, installs the operator as a pod of its own
// image, and starts the stand-in with the real spark-submit.
func Up(ctx context.Context, root, dir string, log io.Writer) (*Stage, error) {
	spark, err := world.Cluster(ctx, root, log, "spark-image")
	if err != nil {
		return nil, err
	}
	home, err := world.Cluster(ctx, root, log, "spark-home")
	if err != nil {
		return nil, err
	}
	s := &Stage{begin: time.Now()}
	s.World, err = world.UpNode(ctx, root, dir, log, spark, filepath.Join(root, "out", "image.tar"))
	if err != nil {
		return nil, err
	}
	s.Say("the node is up and has both images")
	for _, step := range []func() error{
		func() error { return s.OfferStorage(ctx, sparkUser) },
		func() error { return s.StartStandIn(ctx, "-mode=spark-submit", "-spark-home="+home) },
		func() error { return s.InstallAsPods(ctx) },
		func() error {
			s.Say("the operator runs as a pod")
			_, err := s.Kubectl(ctx, "create", "namespace", "live")
			return err
		},
		func() error {
			_, err := s.Kubectl(ctx, "label", "namespace", "live", "pod-security.kubernetes.io/enforce=restricted")
			return err
		},
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Say tells what happened, with the time since the node began to start.
func (s *Stage) Say(format string, args ...any) {
	fmt.Fprintf(s.Log, "[%6.1fs] %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

// Play is the story: a stream starts, is scaled up and down without a restart of
// its driver, loses its driver to SIGKILL, and goes on from its checkpoint.
func (s *Stage) Play(ctx context.Context) error {
	start := time.Now()
	if _, err := s.Kubectl(ctx, "apply", "-f", "test/e2e/live/pipeline.yaml"); err != nil {
		return err
	}
	if err := s.advances(ctx, 4*time.Minute, 3); err != nil {
		return err
	}
	s.Say("the stream has committed its third batch %.0f s after kubectl apply", time.Since(start).Seconds())
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := s.scale(ctx); err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	if err := s.kill(ctx); err != nil {
		return fmt.Errorf("kill the driver: %w", err)
	}
	return s.sound(ctx)
}

// commits is the number of the newest committed batch on the volume; -1 for none.
func (s *Stage) commits() int {
	newest := -1
	files, err := filepath.Glob(filepath.Join(s.Dir, "volumes", "*", "*", "commits", "*"))
	if err != nil {
		return newest
	}
	for _, f := range files {
		if n, err := strconv.Atoi(filepath.Base(f)); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// advances waits until some more batches are committed than now.
func (s *Stage) advances(ctx context.Context, within time.Duration, batches int) error {
	from := s.commits()
	return world.Eventually(ctx, within, fmt.Sprintf("%d more batches after %d are committed", batches, from), func() error {
		if now := s.commits(); now < from+batches {
			return fmt.Errorf("the newest committed batch is %d", now)
		}
		return nil
	})
}

func (s *Stage) ready(ctx context.Context) error {
	return world.Eventually(ctx, 2*time.Minute, "the pipeline is Ready", func() error {
		p := &v1alpha1.SparkPipeline{}
		if err := s.Client.Get(ctx, pipelineKey, p); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); c == nil || c.Status != "True" {
			return fmt.Errorf("condition Ready is %+v", c)
		}
		return nil
	})
}

func (s *Stage) driver(ctx context.Context) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, s.Client.Get(ctx, driverKey, pod)
}

// executors waits until the pipeline says that so many executors are ready.
func (s *Stage) executors(ctx context.Context, want string) error {
	return world.Eventually(ctx, 3*time.Minute, want+" executors", func() error {
		p := &v1alpha1.SparkPipeline{}
		if err := s.Client.Get(ctx, pipelineKey, p); err != nil {
			return err
		}
		if p.Status.Executors == nil || p.Status.Executors.Summary != want {
			return fmt.Errorf("executors %+v", p.Status.Executors)
		}
		return nil
	})
}

// scale goes to two executors and back to one through the spec, under one driver.
func (s *Stage) scale(ctx context.Context) error {
	before, err := s.driver(ctx)
	if err != nil {
		return err
	}
	for _, size := range []string{"2", "1"} {
		start := time.Now()
		_, err := s.Kubectl(ctx, "-n", "live", "patch", "sp", "counts", "--type=merge", "-p", `{"spec":{"executor":{"instances":`+size+`}}}`)
		if err != nil {
			return err
		}
		if err := s.executors(ctx, size+"/"+size); err != nil {
			return err
		}
		s.Say("scaled to %s after %.1f s", size, time.Since(start).Seconds())
	}
	if err := s.advances(ctx, time.Minute, 2); err != nil {
		return err
	}
	after, err := s.driver(ctx)
	if err != nil {
		return err
	}
	if after.UID != before.UID {
		return errors.New("the driver was restarted by the change of size")
	}
	return nil
}

// kill ends the driver's process with SIGKILL and waits until the stream has
// committed batches again.
func (s *Stage) kill(ctx context.Context) error {
	before, err := s.driver(ctx)
	if err != nil {
		return err
	}
	last := s.commits()
	pid, err := processOf(before)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := pid.Kill(); err != nil {
		return fmt.Errorf("kill process %d: %w", pid.Pid, err)
	}
	err = world.Eventually(ctx, 3*time.Minute, "another driver runs", func() error {
		pod, err := s.driver(ctx)
		if err == nil && (pod.UID == before.UID || pod.Status.Phase != corev1.PodRunning) {
			return errors.New("no other driver yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.advances(ctx, 3*time.Minute, 1); err != nil {
		return err
	}
	s.Say("killed after batch %d; batch %d was committed %.0f s after the SIGKILL", last, s.commits(), time.Since(start).Seconds())
	return s.ready(ctx)
}

// processOf finds the driver's JVM on this machine: the node's containers are its
// processes.
func processOf(pod *corev1.Pod) (*os.Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !strings.Contains(string(command), "org.apache.spark.deploy.SparkSubmit") {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !slices.Contains(strings.Split(string(environment), "\x00"), "HOSTNAME="+pod.Name) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return nil, err
		}
		return os.FindProcess(pid)
	}
	return nil, fmt.Errorf("no process of pod %s is there", pod.Name)
}

// sound reads what the stream prints of itself: as long as no state is lost and no
// row is counted twice, rows is last + 1 in every batch, over every restart.
func (s *Stage) sound(ctx context.Context) error {
	log, err := s.Kubectl(ctx, "-n", "live", "logs", "counts-driver", "--tail=-1")
	if err != nil {
		return err
	}
	seen := 0
	for line := range strings.Lines(log) {
		var id, keys, rows, last int
		if n, _ := fmt.Sscanf(line, "BATCH id=%d keys=%d rows=%d last=%d", &id, &keys, &rows, &last); n < 4 {
			continue
		}
		if seen++; rows != last+1 {
			return fmt.Errorf("state was lost or counted twice: %s", line)
		}
	}
	if seen == 0 {
		return errors.New("the driver's log holds no batch")
	}
	s.Say("%d batches since the restart: every row of the whole stream counted once", seen)
	return nil
}

// SayWhy prints what helps to understand a play that failed.
func (s *Stage) SayWhy(ctx context.Context) {
	for _, args := range [][]string{
		{"-n", "live", "get", "sp,sparkapplications,pods,pvc", "-o", "wide"},
		{"-n", "live", "get", "sp", "counts", "-o", "jsonpath={.status.conditions}"},
		{"-n", "live", "describe", "pods"},
		{"-n", "live", "logs", "counts-driver", "--tail=60"},
		{"-n", "sparkpipeline-system", "logs", "deployment/sparkpipeline-operator", "--tail=30"},
	} {
		out, err := s.Kubectl(ctx, args...)
		fmt.Fprintln(s.Log, "---", strings.Join(args, " "), err)
		fmt.Fprintln(s.Log, out)
	}
	fmt.Fprintln(s.Log, s.Tail("stand-in"))
}

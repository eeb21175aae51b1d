// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/test/e2e/world"
)

type demo struct {
	*world.World
	begin time.Time
	lines []string
}

func (d *demo) say(format string, args ...any) {
	fmt.Printf("[%6.1fs] %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

// note says something and keeps it for the summary.
func (d *demo) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	d.lines = append(d.lines, line)
	d.say("%s", line)
}

func (d *demo) summary() {
	fmt.Println("\nWhat happened")
	for _, line := range d.lines {
		fmt.Println("  " + line)
	}
	fmt.Printf("\nReal here: etcd, API server, controller manager, scheduler, the operator under its own ServiceAccount.\n"+
		"Standing in: kubeflow's controller and Spark (test/kubeflow), nodes and pods (kwok). `make demo-live` runs real Spark.\n"+
		"\nThe cluster is up. Look around:\n  export KUBECONFIG=%s\n  kubectl get sp -A -o wide\nStop it: make demo-down\n", d.Kubeconfig)
}

// play is the story of the demo.
func (d *demo) play(ctx context.Context) error {
	for _, act := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Install the operator, the stand-in for kubeflow's controller and the CRDs of optional APIs", d.install},
		{"Apply two pipelines", d.apply},
		{"Kill the driver of orders", d.killDriver},
		{"Edit and delete every child of orders", d.breakChildren},
	} {
		fmt.Printf("\n== %s\n", act.title)
		if err := act.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(act.title[:1])+act.title[1:], err)
		}
	}
	return nil
}

func (d *demo) install(ctx context.Context) error {
	if err := d.InstallOptionalAPIs(ctx); err != nil {
		return err
	}
	if err := d.OfferStorage(ctx, 0); err != nil {
		return err
	}
	if err := d.StartStandIn(ctx); err != nil {
		return err
	}
	if err := d.Install(ctx); err != nil {
		return err
	}
	if err := d.StartManager(ctx); err != nil {
		return err
	}
	d.say("the manager is ready, as system:serviceaccount:sparkpipeline-system:sparkpipeline-operator")
	return nil
}

var orders = client.ObjectKey{Namespace: "data", Name: "orders"}

func (d *demo) apply(ctx context.Context) error {
	if _, err := d.Kubectl(ctx, "create", "namespace", "data"); err != nil {
		return err
	}
	if _, err := d.Kubectl(ctx, "annotate", "namespace", "data", "sparkpipeline.dev/allowed-namespaces=orders-prod"); err != nil {
		return err
	}
	start := time.Now()
	for _, sample := range []string{"minimal", "full"} {
		if _, err := d.Kubectl(ctx, "apply", "-f", filepath.Join("config", "samples", sample+".yaml")); err != nil {
			return err
		}
	}
	if _, err := d.Kubectl(ctx, "-n", "data", "wait", "sp", "--all", "--for=condition=Ready", "--timeout=120s"); err != nil {
		return err
	}
	d.note("both pipelines became Ready in %.1f s", time.Since(start).Seconds())
	out, err := d.Kubectl(ctx, "get", "sp", "-A", "-o", "wide")
	fmt.Print(out)
	if err != nil {
		return err
	}
	for _, name := range []string{"orders", "orders-full"} {
		p := &v1alpha1.SparkPipeline{}
		if err := d.Client.Get(ctx, client.ObjectKey{Namespace: "data", Name: name}, p); err != nil {
			return err
		}
		d.note("%s has %d children in namespace %s", name, len(p.Status.Children), p.Status.Namespace)
	}
	return nil
}

// killDriver deletes the driver's pod and waits until another one runs under the
// same SparkApplication.
func (d *demo) killDriver(ctx context.Context) error {
	key := client.ObjectKey{Namespace: orders.Namespace, Name: orders.Name + "-driver"}
	before := &corev1.Pod{}
	if err := d.Client.Get(ctx, key, before); err != nil {
		return err
	}
	start := time.Now()
	if err := d.Client.Delete(ctx, before); err != nil {
		return err
	}
	err := world.Eventually(ctx, 3*time.Minute, "another driver runs and the pipeline is Ready", func() error {
		pod := &corev1.Pod{}
		if err := d.Client.Get(ctx, key, pod); err != nil {
			return err
		}
		if pod.UID == before.UID || pod.Status.Phase != corev1.PodRunning {
			return errors.New("no other driver yet")
		}
		p := &v1alpha1.SparkPipeline{}
		if err := d.Client.Get(ctx, orders, p); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady) {
			return errors.New("not Ready")
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.note("the driver was killed; another one ran after %.1f s", time.Since(start).Seconds())
	return nil
}

// breakChildren edits and deletes the children, one after the other, and waits
// for each to be back. Claims are not deleted: a lost claim is not made again.
func (d *demo) breakChildren(ctx context.Context) error {
	p := &v1alpha1.SparkPipeline{}
	if err := d.Client.Get(ctx, orders, p); err != nil {
		return err
	}
	edited, deleted := times{}, times{}
	for _, c := range p.Status.Children {
		if c.Kind == "Secret" {
			continue // Posted once and never read.
		}
		took, err := d.removeLabel(ctx, c)
		if err != nil {
			return err
		}
		edited.add(took)
		if c.Kind == "PersistentVolumeClaim" {
			continue
		}
		if took, err = d.deleteChild(ctx, c); err != nil {
			return err
		}
		deleted.add(took)
	}
	d.note("%d children lost a label and had it back: %s", edited.n, edited)
	d.note("%d children were deleted and came back: %s", deleted.n, deleted)
	return nil
}

func metadataOf(c v1alpha1.ChildStatus, version string) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name}}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: c.Group, Version: version, Kind: c.Kind})
	return o
}

func (d *demo) object(c v1alpha1.ChildStatus) (*metav1.PartialObjectMetadata, error) {
	mapping, err := d.Client.RESTMapper().RESTMapping(schema.GroupKind{Group: c.Group, Kind: c.Kind})
	if err != nil {
		return nil, err
	}
	return metadataOf(c, mapping.GroupVersionKind.Version), nil
}

const ownerLabel = "sparkpipeline.dev/pipeline"

func (d *demo) removeLabel(ctx context.Context, c v1alpha1.ChildStatus) (time.Duration, error) {
	o, err := d.object(c)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, ownerLabel)
	if err := d.Client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return 0, fmt.Errorf("edit %s %s: %w", c.Kind, c.Name, err)
	}
	err = world.Eventually(ctx, 30*time.Second, c.Kind+" "+c.Name+" has its label back", func() error {
		if err := d.Client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if o.Labels[ownerLabel] == "" {
			return errors.New("it has not")
		}
		return nil
	})
	return time.Since(start), err
}

func (d *demo) deleteChild(ctx context.Context, c v1alpha1.ChildStatus) (time.Duration, error) {
	o, err := d.object(c)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	// As kubectl does; Jobs are otherwise deleted as orphans, with a warning.
	if err := d.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return 0, fmt.Errorf("delete %s %s: %w", c.Kind, c.Name, err)
	}
	err = world.Eventually(ctx, 60*time.Second, c.Kind+" "+c.Name+" is back", func() error {
		if err := d.Client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if o.UID == c.UID || o.DeletionTimestamp != nil {
			return errors.New("the old one is still there")
		}
		return nil
	})
	return time.Since(start), err
}

// sayWhy prints what helps to understand a demo that failed.
func (d *demo) sayWhy(ctx context.Context) {
	out, _ := d.Kubectl(ctx, "get", "sp", "-A", "-o", "yaml")
	fmt.Fprintln(os.Stderr, out)
	for _, name := range []string{"manager", "stand-in"} {
		fmt.Fprintln(os.Stderr, d.Tail(name))
	}
}

// times are durations of the same thing.
type times struct {
	n    int
	all  time.Duration
	slow time.Duration
}

func (t *times) add(d time.Duration) { t.n, t.all, t.slow = t.n+1, t.all+d, max(t.slow, d) }

func (t times) String() string {
	if t.n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d ms each on average, %d ms at most", (t.all / time.Duration(t.n)).Milliseconds(), t.slow.Milliseconds())
}

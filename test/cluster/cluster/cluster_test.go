package cluster_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"sparkpipeline.dev/operator/test/cluster/binaries"
	"sparkpipeline.dev/operator/test/cluster/cluster"
)

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  resources: [{group: "", resources: [pods]}]
`

// TestControlPlane starts all of a control plane once, for that is slow, and
// looks at it from every side.
func TestControlPlane(t *testing.T) {
	ctx := t.Context()
	c := start(t, cluster.Options{
		Dir: t.TempDir(), ControllerManager: true, Scheduler: true, Kwok: true, AuditPolicy: auditPolicy,
	})
	client := clientFor(t, c.Config)

	t.Run("runs a pod on the simulated node of the wanted zone", func(t *testing.T) {
		if err := c.CreateNodes(ctx, cluster.Nodes{Count: 2, Zones: []string{"a", "b"}}); err != nil {
			t.Fatal(err)
		}
		create(t, client, pod("zoned", map[string]string{"topology.kubernetes.io/zone": "b"}))
		got := awaitPod(t, client, "zoned", corev1.PodRunning)
		if got.Spec.NodeName != "kwok-1" {
			t.Errorf("the pod runs on node %q, want kwok-1, which is in zone b", got.Spec.NodeName)
		}
		if got.Status.PodIP == "" || len(got.Status.ContainerStatuses) != 1 || !got.Status.ContainerStatuses[0].Ready {
			t.Errorf("the pod has IP %q and container statuses %v, want an address and one ready container",
				got.Status.PodIP, got.Status.ContainerStatuses)
		}
	})

	t.Run("writes the audit log that the policy asks for", func(t *testing.T) {
		create(t, client, pod("audited", nil))
		eventually(t, "an audit event of the pod's creation", func() bool { return audited(t, c.AuditLog, "create", "audited") })
	})

	t.Run("gives a service account its own rights and no more", func(t *testing.T) {
		config, err := c.ServiceAccountConfig(ctx, "default", "default")
		if err != nil {
			t.Fatal(err)
		}
		_, err = clientFor(t, config).CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("listing pods as default/default: error is %v, want forbidden", err)
		}
	})

	t.Run("restarts the API server after a crash", func(t *testing.T) {
		if err := c.SignalComponent("kube-apiserver", syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the API server's end", func() bool { return !c.Running("kube-apiserver") })
		if err := c.StartComponent(ctx, "kube-apiserver"); err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().Nodes().Get(ctx, "kwok-0", metav1.GetOptions{}); err != nil {
			t.Errorf("read a node that was made before the crash: %v", err)
		}
	})

	t.Run("refuses a second start in the same directory", func(t *testing.T) {
		_, err := cluster.Start(ctx, cluster.Options{Dir: c.Dir, Binaries: assets(t)})
		if err == nil || !strings.Contains(err.Error(), "etcd already runs") {
			t.Errorf("error is %v, want one that says what runs already", err)
		}
	})
}

func TestStopAndStartAgain(t *testing.T) {
	dir := t.TempDir()
	o := cluster.Options{Dir: dir, Detached: true}
	c := start(t, o)
	name := "kept"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := clientFor(t, c.Config).CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := processesOf(t, dir)
	if len(before) != 2 {
		t.Fatalf("processes of the cluster are %v, want etcd and kube-apiserver", before)
	}
	attached, err := cluster.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := processesOf(t, dir); len(after) != 0 {
		t.Fatalf("processes after Stop are %v, want none", after)
	}
	again := start(t, o)
	if _, err := clientFor(t, again.Config).CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
		t.Errorf("read a namespace that was made before the stop: %v", err)
	}
}

func TestStartFailsWithTheLogOfWhatDied(t *testing.T) {
	dir := t.TempDir()
	_, err := cluster.Start(t.Context(), cluster.Options{
		Dir: dir, Binaries: assets(t), ExtraAPIServerArgs: []string{"--no-such-flag"},
	})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("error is %v, want one with the API server's complaint", err)
	}
	if left := processesOf(t, dir); len(left) != 0 {
		t.Errorf("processes after a failed start are %v, want none", left)
	}
}

func assets(t *testing.T) string { return ensure(t, binaries.Assets) }

func ensure(t *testing.T, group binaries.Group) string {
	t.Helper()
	dir, err := binaries.Ensure(t.Context(), group, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// start starts a cluster for the test and tells how long it took.
func start(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	group := binaries.Assets
	if o.ControllerManager || o.Scheduler || o.Kwok {
		group = binaries.ControlPlane
	}
	o.Binaries = ensure(t, group)
	begin := time.Now()
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the cluster was ready after %s", time.Since(begin).Round(10*time.Millisecond))
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if left := processesOf(t, c.Dir); len(left) != 0 {
			t.Errorf("processes after Stop are %v, want none", left)
		}
	})
	return c
}

func clientFor(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func pod(name string, selector map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{NodeSelector: selector, Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
}

func create(t *testing.T, client kubernetes.Interface, p *corev1.Pod) {
	t.Helper()
	if _, err := client.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func awaitPod(t *testing.T, client kubernetes.Interface, name string, phase corev1.PodPhase) *corev1.Pod {
	t.Helper()
	var got *corev1.Pod
	eventually(t, "pod "+name+" to be "+string(phase), func() bool {
		var err error
		if got, err = client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		return got.Status.Phase == phase
	})
	return got
}

// audited says whether the log has an event of that verb on that object.
func audited(t *testing.T, path, verb, name string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var event struct {
			Verb      string
			ObjectRef struct{ Name string }
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.Verb == verb && event.ObjectRef.Name == name {
			return true
		}
	}
	return false
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited a minute for %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

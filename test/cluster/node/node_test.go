package node_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"sparkpipeline.dev/operator/test/cluster/binaries"
	"sparkpipeline.dev/operator/test/cluster/cluster"
	"sparkpipeline.dev/operator/test/cluster/image"
	"sparkpipeline.dev/operator/test/cluster/node"
	"sparkpipeline.dev/operator/test/cluster/spark"
)

// enableEnv asks for the tests that change this machine: they install
// packages, and make interfaces, mounts and control groups while they run.
const enableEnv = "SPARKPIPELINE_NODE_TESTS"

func TestNode(t *testing.T) {
	if os.Getenv(enableEnv) == "" {
		t.Skipf("set %s=1 to run a node on this machine", enableEnv)
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Fatal("a node needs Linux and root")
	}
	probe := probeImage(t)
	n := start(t, probe)
	client, err := kubernetes.NewForConfig(n.Config)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("refuses a second node", func(t *testing.T) {
		o := node.Options{Cluster: cluster.Options{Dir: t.TempDir(), Binaries: n.Binaries()}}
		if _, err := node.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another one runs on this machine") {
			t.Errorf("error is %v, want one that says that there is a node", err)
		}
	})
	t.Run("gives a pod names, services and its identity", func(t *testing.T) { testNetwork(t, n, client) })
	t.Run("runs Spark, which takes up its state after SIGKILL", func(t *testing.T) { testSpark(t, n, client) })
}

// start starts a node and checks, in the end, that it leaves nothing behind.
func start(t *testing.T, images ...string) *node.Node {
	t.Helper()
	bin, err := binaries.Ensure(t.Context(), binaries.Node, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	before := traces(t, dir)
	begin := time.Now()
	n, err := node.Start(t.Context(), node.Options{Cluster: cluster.Options{Dir: dir, Binaries: bin}, Images: images})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the node was ready after %s", time.Since(begin).Round(10*time.Millisecond))
	t.Cleanup(func() {
		if during := traces(t, dir); during == before {
			t.Error("a running node leaves no trace that this test sees")
		}
		begin := time.Now()
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		t.Logf("the node was gone after %s", time.Since(begin).Round(10*time.Millisecond))
		if after := traces(t, dir); after != before {
			t.Errorf("the machine after Stop:\n%s\nwant it as before:\n%s", after, before)
		}
	})
	return n
}

// traces describes what a node could leave behind on the machine.
func traces(t *testing.T, dir string) string {
	t.Helper()
	script := `ip -brief link; ip route; ip netns list; iptables-save -t nat | grep -v '^#'; iptables-save -t filter | grep -v '^#'
grep -F "$0/" /proc/mounts; find /sys/fs/cgroup -type d -name 'sparkpipeline' -o -type d -name 'kubepods*'
find /var/lib/cni/results /var/log/containers /run/netns -mindepth 1 2>/dev/null
ps -eo args= | grep -F "$0/" | grep -v -e grep -e 'sh -c'; true`
	out, err := exec.Command("sh", "-c", script, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	// Counters of packets are no trace.
	return regexp.MustCompile(`\[\d+:\d+\]`).ReplaceAllString(string(out), "")
}

// testNetwork runs the probe, which asks the API server and a server of this
// machine by their names.
func testNetwork(t *testing.T, n *node.Node, client kubernetes.Interface) {
	listener, err := net.Listen("tcp", net.JoinHostPort(node.HostAddress.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "outside") })}
	go server.Serve(listener)
	defer server.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	err = n.Expose(t.Context(), node.Exposure{
		Namespace: "default", Name: "outside", Address: node.HostAddress.String(),
		Ports: []node.ExposedPort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, Target: int32(port)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, client, pod("probe", probeRef, "http://outside.default.svc/"))
	eventually(t, "the probe's end", time.Minute, func() bool {
		phase := get(t, client, "probe").Status.Phase
		return phase == corev1.PodSucceeded || phase == corev1.PodFailed
	})
	out := logs(t, client, "probe")
	// The pod's service account is known, and may not list pods.
	if !strings.Contains(out, "default/pods: 403 ") || !strings.Contains(out, "svc/: 200 outside") {
		t.Errorf("the probe says %q, want 403 of the API server and 200 outside of the other", out)
	}
}

// testSpark kills a stream and checks that a new pod counts on from its
// checkpoint without losing a row or counting one twice.
func testSpark(t *testing.T, n *node.Node, client kubernetes.Interface) {
	archive, err := spark.Image(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.ImportImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	if _, err := n.CreateVolume(t.Context(), node.Volume{
		Name: "checkpoints", StorageClass: "shared", Size: resource.MustParse("1Gi"), Owner: spark.UserID,
	}); err != nil {
		t.Fatal(err)
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "checkpoints"}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: new("shared"),
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
		Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	if _, err := client.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	first := stream(t, client, "first", 3)
	if err := n.KillContainer(t.Context(), get(t, client, "first"), "main"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first pod's end", time.Minute, func() bool { return get(t, client, "first").Status.Phase == corev1.PodFailed })
	if code := get(t, client, "first").Status.ContainerStatuses[0].State.Terminated.ExitCode; code != 137 {
		t.Errorf("the first pod's exit code is %d, want 137, that of SIGKILL", code)
	}
	second := stream(t, client, "second", 3)
	if second[0].id <= first[0].id {
		t.Errorf("the second pod starts with batch %d, want one after batch %d of the first", second[0].id, first[0].id)
	}
	for _, b := range append(first, second...) {
		if b.rows != b.last+1 {
			t.Errorf("batch %d counts %d rows, the last of which has number %d: want one more", b.id, b.rows, b.last)
		}
	}
}

// batch is a line of the sample stream.
type batch struct{ id, rows, last int }

var batchLine = regexp.MustCompile(`BATCH id=(\d+) keys=\d+ rows=(\d+) last=(\d+)`)

// stream runs the sample until it has printed so many batches with rows.
func stream(t *testing.T, client kubernetes.Interface, name string, batches int) []batch {
	t.Helper()
	p := pod(name, spark.Ref, "/opt/spark/bin/spark-submit", "--master", "local[2]", "--conf", "spark.ui.enabled=false",
		"--conf", "spark.sql.shuffle.partitions=2", "--class", spark.AppClass, strings.TrimPrefix(spark.AppJar, "local://"),
		"/checkpoints/counts", "rocksdb", "100", "1000")
	p.Spec.Volumes = []corev1.Volume{{Name: "checkpoints", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "checkpoints"}}}}
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "checkpoints", MountPath: "/checkpoints"}}
	run(t, client, p)
	var found []batch
	begin := time.Now()
	eventually(t, "batches of pod "+name, 3*time.Minute, func() bool {
		if phase := get(t, client, name).Status.Phase; phase == corev1.PodFailed || phase == corev1.PodSucceeded {
			t.Fatalf("the stream has ended: %s", logs(t, client, name))
		} else if phase == corev1.PodPending {
			return false
		}
		found = nil
		for _, m := range batchLine.FindAllStringSubmatch(logs(t, client, name), -1) {
			found = append(found, batch{number(t, m[1]), number(t, m[2]), number(t, m[3])})
		}
		return len(found) >= batches
	})
	t.Logf("pod %s had %d batches after %s", name, len(found), time.Since(begin).Round(time.Second))
	return found
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const probeRef = "sparkpipeline.local/probe:1"

// probeImage builds the probe and returns the archive of its image.
func probeImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "probe"), "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v: %s", err, out)
	}
	layer, archive := filepath.Join(dir, "layer.tar"), filepath.Join(dir, "probe.tar")
	if err := image.WriteLayer(layer, []image.Entry{{Path: "probe", Source: filepath.Join(dir, "probe"), Mode: 0o755}}); err != nil {
		t.Fatal(err)
	}
	if err := image.Write(archive, image.Spec{Ref: probeRef, Layers: []string{layer}, Entrypoint: []string{"/probe"}, User: "65532"}); err != nil {
		t.Fatal(err)
	}
	return archive
}

// pod is as the strictest pod security standard wants it.
func pod(name, ref string, args ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "main", Image: ref, Args: args, ImagePullPolicy: corev1.PullNever,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}}
}

func run(t *testing.T, client kubernetes.Interface, p *corev1.Pod) {
	t.Helper()
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, client kubernetes.Interface, name string) *corev1.Pod {
	t.Helper()
	p, err := client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func logs(t *testing.T, client kubernetes.Interface, name string) string {
	t.Helper()
	data, err := client.CoreV1().Pods("default").GetLogs(name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func eventually(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	deadline := time.After(limit)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s", limit, what)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

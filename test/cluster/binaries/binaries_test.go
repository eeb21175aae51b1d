package binaries

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestGroupsContainTheSmallerOnes(t *testing.T) {
	for group, want := range map[Group][]string{
		Assets:       {"etcd", "kube-apiserver", "kubectl"},
		ControlPlane: {"etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok"},
		Node: {"etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok", "kubelet",
			"kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "coredns", "pause"},
	} {
		var got []string
		for _, t := range targetsOf(group) {
			got = append(got, t.name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("group %s is %v, want %v", group, got, want)
		}
	}
}

func TestParseGroupNamesWhatIsAllowed(t *testing.T) {
	_, err := ParseGroup("everything")
	if err == nil || err.Error() != `unknown group "everything": allowed are assets, controlplane, node` {
		t.Errorf("error is %v", err)
	}
}

func TestKubernetesGetsItsVersion(t *testing.T) {
	got := ldflags(target{module: "kubernetes"}, "v1.37.2")
	want := "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1" +
		" -X k8s.io/component-base/version.gitMinor=37 -X k8s.io/component-base/version.gitTreeState=clean"
	if got != want {
		t.Errorf("flags are %q, want %q", got, want)
	}
}

func TestKeyChangesWithWhatABuildDependsOn(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module a")
	base := target{name: "a", module: "m", pkg: "example.org/a"}
	keyOf := func(t *testing.T, tg target, goVersion, flags string) string {
		t.Helper()
		k, err := key(tg, dir, goVersion, flags)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := keyOf(t, base, "go1.26.8", "-s")
	if again := keyOf(t, base, "go1.26.8", "-s"); again != first {
		t.Errorf("the same input has the keys %s and %s", first, again)
	}
	other := base
	other.pkg = "example.org/b"
	changed := map[string]string{
		"go version": keyOf(t, base, "go1.26.9", "-s"),
		"flags":      keyOf(t, base, "go1.26.8", "-s -w"),
		"package":    keyOf(t, other, "go1.26.8", "-s"),
	}
	write(t, filepath.Join(dir, "go.mod"), "module a // changed")
	changed["module"] = keyOf(t, base, "go1.26.8", "-s")
	for what, k := range changed {
		if k == first {
			t.Errorf("another %s has the same key", what)
		}
	}
}

// TestEnsureBuildsOnce lets many callers ask for the smallest program at the
// same time.
func TestEnsureBuildsOnce(t *testing.T) {
	t.Setenv(CacheEnv, t.TempDir())
	pause := targets[slices.IndexFunc(targets, func(t target) bool { return t.name == "pause" })]
	var mu sync.Mutex
	var progress strings.Builder
	var callers sync.WaitGroup
	for range 4 {
		b, err := newBuilder(t.Context(), writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return progress.Write(p)
		}))
		if err != nil {
			t.Fatal(err)
		}
		callers.Go(func() {
			path, err := b.ensure(t.Context(), pause)
			if err != nil {
				t.Error(err)
				return
			}
			if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
				t.Errorf("%s is no program: %v", path, err)
			}
		})
	}
	callers.Wait()
	if n := strings.Count(progress.String(), "building pause\n"); n != 1 {
		t.Errorf("it was built %d times, want once:\n%s", n, progress.String())
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv(CacheEnv), "bin", ".tmp-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary directories %v are left (%v)", left, err)
	}
}

func TestGivenAssets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(AssetsEnv, dir)
	write(t, filepath.Join(dir, "etcd"), "")
	write(t, filepath.Join(dir, "kube-apiserver"), "")
	_, err := Ensure(t.Context(), Assets, os.Stderr)
	if err == nil || !strings.Contains(err.Error(), "has no kubectl") {
		t.Errorf("error is %v, want one that says what is missing", err)
	}
	write(t, filepath.Join(dir, "kubectl"), "")
	if got, err := Ensure(t.Context(), Assets, os.Stderr); got != dir || err != nil {
		t.Errorf("directory is %q (error %v), want the given one, %q", got, err, dir)
	}
}

func TestLockIsAwaited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("the first caller waits") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	waited := false
	if _, err := Lock(ctx, path, func() { waited = true }); !errors.Is(err, context.DeadlineExceeded) || !waited {
		t.Errorf("a second caller waited: %v, error: %v; want it to wait until its deadline", waited, err)
	}
	unlock()
	unlock, err = Lock(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestPublishLeavesNothingOfAFailure(t *testing.T) {
	parent := t.TempDir()
	failure := errors.New("disk full")
	err := Publish(filepath.Join(parent, "entry"), func(tmp string) error {
		write(t, filepath.Join(tmp, "half"), "")
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("error is %v, want %v", err, failure)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
		t.Errorf("the directory holds %v (%v), want nothing", entries, err)
	}
}

func TestModulesPinTheToolchainAtHand(t *testing.T) {
	modules, err := filepath.Glob("../modules/*/go.mod")
	if err != nil || len(modules) != 6 {
		t.Fatalf("modules are %v (%v), want six", modules, err)
	}
	for _, m := range append(modules, "../go.mod") {
		data, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "\ngo 1.26.") || strings.Contains(string(data), "\ntoolchain ") {
			t.Errorf("%s does not ask for Go 1.26 alone, want it to build with %s", m, runtime.Version())
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

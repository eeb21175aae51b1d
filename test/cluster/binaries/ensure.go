package binaries

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// AssetsEnv names the environment variable by which envtest is told where its
// binaries are. When it is set, the group Assets is taken from there.
const AssetsEnv = "KUBEBUILDER_ASSETS"

// builder holds what all builds of one call share.
type builder struct {
	cache      string // the cache directory
	modules    string // the directory of the build modules
	goVersion  string
	kubernetes string // the version of k8s.io/kubernetes, with its v
	progress   io.Writer
}

// Ensure returns a directory that holds every program of the group, and builds
// those that the cache does not have. It says on progress what is built and
// how long it took; with everything cached it says nothing.
func Ensure(ctx context.Context, group Group, progress io.Writer) (string, error) {
	given, err := givenAssets()
	if err != nil {
		return "", err
	}
	if given != "" && group == Assets {
		return given, nil
	}
	b, err := newBuilder(ctx, progress)
	if err != nil {
		return "", err
	}
	paths := map[string]string{}
	for _, t := range targetsOf(group) {
		if given != "" && t.group == Assets {
			paths[t.name] = filepath.Join(given, t.name)
			continue
		}
		if paths[t.name], err = b.ensure(ctx, t); err != nil {
			return "", fmt.Errorf("build %s: %w", t.name, err)
		}
	}
	return b.collect(group, paths)
}

// givenAssets returns the directory in KUBEBUILDER_ASSETS, or "" when it is
// not set.
func givenAssets() (string, error) {
	dir := os.Getenv(AssetsEnv)
	if dir == "" {
		return "", nil
	}
	for _, t := range targetsOf(Assets) {
		if !exists(filepath.Join(dir, t.name)) {
			return "", fmt.Errorf("%s=%s has no %s: unset it to build the binaries", AssetsEnv, dir, t.name)
		}
	}
	return filepath.Abs(dir)
}

func newBuilder(ctx context.Context, progress io.Writer) (*builder, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	source, err := SourceDir(ctx)
	if err != nil {
		return nil, err
	}
	goVersion, err := goCommand(ctx, "", "env", "GOVERSION")
	if err != nil {
		return nil, err
	}
	modules := filepath.Join(source, "modules")
	kubernetes, err := requiredVersion(filepath.Join(modules, "kubernetes", "go.mod"), kubernetesModule)
	if err != nil {
		return nil, err
	}
	return &builder{cache, modules, strings.TrimSpace(goVersion), kubernetes, progress}, nil
}

// ensure returns the path of one program, and builds it when it is missing.
// One process builds at a time: two would take the same work twice, and the
// machine's cores from each other.
func (b *builder) ensure(ctx context.Context, t target) (string, error) {
	moduleDir, flags := filepath.Join(b.modules, t.module), ldflags(t, b.kubernetes)
	k, err := key(t, moduleDir, b.goVersion, flags)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.cache, "bin", t.name+"-"+k)
	path := filepath.Join(dir, t.name)
	if exists(path) {
		return path, nil
	}
	unlock, err := Lock(ctx, filepath.Join(b.cache, "build.lock"), func() {
		fmt.Fprintf(b.progress, "waiting for another process that is building into %s\n", b.cache)
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(path) {
		return path, nil
	}
	err = Publish(dir, func(tmp string) error { return b.build(ctx, t, flags, filepath.Join(tmp, t.name)) })
	return path, err
}

// build compiles t to out and tells how it is going.
func (b *builder) build(ctx context.Context, t target, flags, out string) error {
	start := time.Now()
	fmt.Fprintf(b.progress, "building %s\n", t.name)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(30 * time.Second):
				fmt.Fprintf(b.progress, "  still building %s, %s\n", t.name, time.Since(start).Round(time.Second))
			}
		}
	}()
	_, err := goCommand(ctx, filepath.Join(b.modules, t.module),
		"build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", out, t.pkg)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "built %s in %s\n", t.name, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// collect returns a directory of links to the given programs.
func (b *builder) collect(group Group, paths map[string]string) (string, error) {
	h := sha256.New()
	for _, t := range targetsOf(group) {
		fmt.Fprintln(h, paths[t.name])
	}
	dir := filepath.Join(b.cache, "sets", fmt.Sprintf("%s-%x", group, h.Sum(nil)[:8]))
	if exists(dir) {
		return dir, nil
	}
	return dir, Publish(dir, func(tmp string) error {
		for name, path := range paths {
			if err := os.Symlink(path, filepath.Join(tmp, name)); err != nil {
				return fmt.Errorf("link %s: %w", name, err)
			}
		}
		return nil
	})
}

package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

const ownModule = "sparkpipeline.dev/operator/test/cluster"

// SourceDir returns the directory of this module's source, where the modules
// to build live: nested modules are in no build, so they cannot be embedded.
// A program that was built with -trimpath does not know where it came from and
// must run inside this module, or inside one that requires it.
func SourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Dir(filepath.Dir(file)); exists(filepath.Join(dir, "modules")) {
			return dir, nil
		}
	}
	out, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", ownModule)
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w", ownModule, err)
	}
	return strings.TrimSpace(out), nil
}

// goCommand runs the go tool in dir with the environment that all builds
// share, and returns its standard output.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// requiredVersion reads the version of a required module from a go.mod file.
func requiredVersion(goMod, module string) (string, error) {
	data, err := os.ReadFile(goMod)
	if err != nil {
		return "", fmt.Errorf("read module: %w", err)
	}
	f, err := modfile.ParseLax(goMod, data, nil)
	if err != nil {
		return "", fmt.Errorf("parse module: %w", err)
	}
	for _, r := range f.Require {
		if r.Mod.Path == module {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", goMod, module)
}

// key identifies the result of building t: the module's files (they pin every
// version by checksum), the toolchain, the platform and the flags.
func key(t target, moduleDir, goVersion, flags string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s %s %s\n", goVersion, runtime.GOOS, runtime.GOARCH, t.pkg, flags)
	files, err := filepath.Glob(filepath.Join(moduleDir, "*"))
	if err != nil {
		return "", fmt.Errorf("list module %s: %w", t.module, err)
	}
	slices.Sort(files)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return "", fmt.Errorf("read module %s: %w", t.module, err)
		}
		fmt.Fprintf(h, "%s %d\n", filepath.Base(f), len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

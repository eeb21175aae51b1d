package spark

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sparkpipeline.dev/operator/test/cluster/node"
)

// Of the base file system: a Debian release, and what is installed in it
// besides the minimum. tini is the entrypoint's init, procps has the pgrep of
// decom.sh.
const (
	debianSuite    = "bookworm"
	debianPackages = "openjdk-17-jre-headless,tini,procps"
)

// buildPackages are what this package runs.
var buildPackages = node.Packages{
	"debootstrap": "debootstrap",
	"tar":         "tar",
	"pip":         "python3-pip",
	"javac":       "openjdk-17-jdk-headless",
	"jar":         "openjdk-17-jdk-headless",
}

// trimmed are directories of the base file system that nothing reads.
var trimmed = []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "dev", "proc", "sys"}

func baseRecipe() string {
	return fmt.Sprintln(debianSuite, debianPackages, trimmed, UserID)
}

// base returns the path of the base layer.
func (m maker) base(ctx context.Context) (string, error) {
	key := sha256.Sum256([]byte(baseRecipe()))
	dir := filepath.Join(m.cache, fmt.Sprintf("base-%x", key[:8]))
	err := m.step("base file system", dir, func(tmp string) error {
		root := filepath.Join(tmp, "root")
		if err := run(ctx, tmp, "debootstrap", "--variant=minbase", "--include="+debianPackages, debianSuite, root); err != nil {
			return err
		}
		if err := finishRoot(root); err != nil {
			return err
		}
		// GNU tar keeps owners and hard links; names and times are fixed.
		err := run(ctx, tmp, "tar", "--create", "--file=base.tar", "--directory=root",
			"--sort=name", "--mtime=@0", "--numeric-owner", ".")
		return errors.Join(err, os.RemoveAll(root))
	})
	return filepath.Join(dir, "base.tar"), err
}

// finishRoot adds Spark's user, and takes away what the image does not need.
func finishRoot(root string) error {
	for _, dir := range trimmed {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			return fmt.Errorf("trim file system: %w", err)
		}
	}
	// Mount points.
	for _, dir := range []string{"dev", "proc", "sys"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return fmt.Errorf("create mount point: %w", err)
		}
	}
	for file, line := range map[string]string{
		"etc/passwd": fmt.Sprintf("spark:x:%[1]d:%[1]d::/opt/spark/work-dir:/bin/bash\n", UserID),
		"etc/group":  fmt.Sprintf("spark:x:%d:\n", UserID),
	} {
		if err := appendTo(filepath.Join(root, file), line); err != nil {
			return fmt.Errorf("add user: %w", err)
		}
	}
	return nil
}

func appendTo(path, line string) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(line)
	return err
}

// distribution returns a directory with Spark's bin and jars. The archive is
// checked against the hash in requirements.txt.
func (m maker) distribution(ctx context.Context) (string, error) {
	requirements, err := source.ReadFile("requirements.txt")
	if err != nil {
		return "", fmt.Errorf("read requirements: %w", err)
	}
	key := sha256.Sum256(requirements)
	dir := filepath.Join(m.cache, fmt.Sprintf("dist-%x", key[:8]))
	err = m.step("Spark "+Version+" from PyPI", dir, func(tmp string) error {
		file := filepath.Join(tmp, "requirements.txt")
		if err := os.WriteFile(file, requirements, 0o644); err != nil {
			return fmt.Errorf("write requirements: %w", err)
		}
		if err := run(ctx, tmp, "pip", "download", "--no-deps", "--no-binary=:all:", "--require-hashes",
			"--requirement="+file, "--dest="+tmp); err != nil {
			return err
		}
		archive := filepath.Join(tmp, "pyspark-"+Version+".tar.gz")
		if err := extract(archive, "pyspark-"+Version+"/deps/", []string{"bin/", "jars/"}, tmp); err != nil {
			return err
		}
		return errors.Join(os.Remove(archive), os.Remove(file))
	})
	return dir, err
}

// extract unpacks the regular files of a gzipped tar file that are below
// prefix and one of the folders there into dir.
func extract(archive, prefix string, folders []string, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		name, below := strings.CutPrefix(h.Name, prefix)
		if !below || h.Typeflag != tar.TypeReg || !hasAnyPrefix(name, folders) || !filepath.IsLocal(name) {
			continue
		}
		if err := unpack(r, filepath.Join(dir, name), h.FileInfo().Mode().Perm()); err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
	}
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func unpack(r io.Reader, path string, mode os.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}

// app returns the path of a jar with the sample programs.
func (m maker) app(ctx context.Context, dist string) (string, error) {
	names, err := fs.Glob(source, "app/*.java")
	if err != nil {
		return "", fmt.Errorf("list samples: %w", err)
	}
	h := sha256.New()
	fmt.Fprintln(h, dist)
	for _, name := range names {
		data, err := source.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read sample: %w", err)
		}
		fmt.Fprintln(h, name, len(data))
		h.Write(data)
	}
	dir := filepath.Join(m.cache, fmt.Sprintf("app-%x", h.Sum(nil)[:8]))
	err = m.step("sample programs", dir, func(tmp string) error { return m.compile(ctx, tmp, dist, names) })
	return filepath.Join(dir, "sample.jar"), err
}

// compile writes sample.jar to dir.
func (m maker) compile(ctx context.Context, dir, dist string, names []string) error {
	args := []string{"javac", "--release", "17", "-cp", filepath.Join(dist, "jars", "*"), "-d", "classes"}
	for _, name := range names {
		data, err := source.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read sample: %w", err)
		}
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return fmt.Errorf("write sample: %w", err)
		}
		args = append(args, file)
	}
	if err := run(ctx, dir, args...); err != nil {
		return err
	}
	return run(ctx, dir, "jar", "--create", "--file=sample.jar", "--date=1980-01-01T00:00:02Z", "-C", "classes", ".")
}

// run runs a command in dir to its end; its output is part of the error.
func run(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return nil
}

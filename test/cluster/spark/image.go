// Package spark makes a container image of Apache Spark with a sample stream,
// without a container engine or a registry: a Debian root file system by
// debootstrap, Spark's jars from the source archive of pyspark on PyPI, and a
// Java program compiled against them. It needs Linux and root. Everything slow
// is cached under a key of what it is made from.
package spark

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sparkpipeline.dev/operator/test/cluster/binaries"
	"sparkpipeline.dev/operator/test/cluster/image"
	"sparkpipeline.dev/operator/test/cluster/node"
)

const (
	// Version is the version of Spark.
	Version = "4.1.4"
	// Ref is the image's name.
	Ref = "sparkpipeline.local/spark:" + Version
	// AppJar and AppClass are the sample stream in the image, as a
	// SparkApplication names them.
	AppJar   = "local:///opt/spark/app/sample.jar"
	AppClass = "dev.sparkpipeline.sample.CountByKey"
	// FilesClass, in the same jar, counts files on command.
	FilesClass = "dev.sparkpipeline.sample.CountFiles"
	// UserID runs Spark in the image, as in Apache's own images.
	UserID = 185
)

//go:embed requirements.txt app/*.java rootfs/entrypoint.sh rootfs/decom.sh
var source embed.FS

// maker holds what the steps of one call share.
type maker struct {
	cache    string
	progress io.Writer
}

// Home returns a directory with Spark's bin and jars, for a spark-submit on this
// machine, and makes it when the cache does not have it.
func Home(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := binaries.CacheDir()
	if err != nil {
		return "", err
	}
	return maker{filepath.Join(cache, "spark"), progress}.distribution(ctx)
}

// App returns the path of a jar with the sample programs, and makes it when the
// cache does not have it.
func App(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := binaries.CacheDir()
	if err != nil {
		return "", err
	}
	unlock, err := binaries.Lock(ctx, filepath.Join(cache, "spark.lock"), func() {
		fmt.Fprintf(progress, "waiting for another process that makes the Spark image\n")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := node.InstallPackages(ctx, buildPackages); err != nil {
		return "", err
	}
	m := maker{filepath.Join(cache, "spark"), progress}
	dist, err := m.distribution(ctx)
	if err != nil {
		return "", fmt.Errorf("get Spark: %w", err)
	}
	return m.app(ctx, dist)
}

// Image returns the path of the image's archive, and makes it when the cache
// does not have it. It says on progress what is made and how long it took.
func Image(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := binaries.CacheDir()
	if err != nil {
		return "", err
	}
	m := maker{filepath.Join(cache, "spark"), progress}
	key, err := m.key()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(m.cache, "image-"+key)
	archive := filepath.Join(dir, "spark.tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	unlock, err := binaries.Lock(ctx, filepath.Join(cache, "spark.lock"), func() {
		fmt.Fprintf(progress, "waiting for another process that makes the Spark image\n")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := node.InstallPackages(ctx, buildPackages); err != nil {
		return "", err
	}
	base, err := m.base(ctx)
	if err != nil {
		return "", fmt.Errorf("make base file system: %w", err)
	}
	dist, err := m.distribution(ctx)
	if err != nil {
		return "", fmt.Errorf("get Spark: %w", err)
	}
	return archive, m.step("Spark image", dir, func(tmp string) error { return m.assemble(ctx, tmp, base, dist) })
}

// key identifies the image: all sources and recipes of this package.
func (m maker) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, Version, Ref, baseRecipe())
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := source.ReadFile(path)
		fmt.Fprintln(h, path, len(data))
		h.Write(data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read own sources: %w", err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// step makes one cached directory and tells about it. The caller holds the
// lock.
func (m maker) step(what, dir string, fill func(tmp string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	start := time.Now()
	fmt.Fprintf(m.progress, "making %s\n", what)
	if err := binaries.Publish(dir, fill); err != nil {
		return err
	}
	fmt.Fprintf(m.progress, "made %s in %s\n", what, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// assemble compiles the sample and writes the image to spark.tar in dir.
func (m maker) assemble(ctx context.Context, dir, base, dist string) error {
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		return fmt.Errorf("create work directory: %w", err)
	}
	jar, err := m.app(ctx, dist)
	if err != nil {
		return err
	}
	entries, err := m.entries(dist, jar)
	if err != nil {
		return err
	}
	layer := filepath.Join(work, "layer.tar")
	if err := image.WriteLayer(layer, entries); err != nil {
		return err
	}
	err = image.Write(filepath.Join(dir, "spark.tar"), image.Spec{
		Ref:        Ref,
		Layers:     []string{base, layer},
		Entrypoint: []string{"/opt/entrypoint.sh"},
		User:       fmt.Sprint(UserID),
		// Writable by the user: in cluster mode the driver copies a local://
		// jar into its working directory.
		WorkDir: "/opt/spark/work-dir",
		Env:     []string{"SPARK_HOME=/opt/spark"},
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove work directory: %w", err)
	}
	return nil
}

// entries are the files of Spark's layer.
func (m maker) entries(dist, jar string) ([]image.Entry, error) {
	entries, err := image.Tree(dist, "opt/spark")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"entrypoint.sh", "decom.sh"} {
		data, err := source.ReadFile("rootfs/" + name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		entries = append(entries, image.Entry{Path: "opt/" + name, Data: data, Mode: 0o755})
	}
	return append(entries,
		image.Entry{Path: strings.TrimPrefix(AppJar, "local:///"), Source: jar, Mode: 0o644},
		image.Entry{Path: "opt/spark/conf", Mode: fs.ModeDir | 0o755},
		image.Entry{Path: "opt/spark/RELEASE", Data: []byte("Spark " + Version + "\n"), Mode: 0o644},
		image.Entry{Path: "opt/spark/work-dir", Mode: fs.ModeDir | 0o775, UID: UserID, GID: UserID},
	), nil
}

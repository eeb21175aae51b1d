package spark

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

func TestRequirementsPinTheVersionByHash(t *testing.T) {
	data, err := source.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`^pyspark==([0-9.]+) --hash=sha256:[0-9a-f]{64}\n$`).FindSubmatch(data)
	if m == nil || string(m[1]) != Version {
		t.Errorf("requirements are %q, want pyspark of version %s with its hash", data, Version)
	}
}

func TestExtractTakesOnlyTheWantedFolders(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "a.tar.gz")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	for _, name := range []string{"p/deps/bin/spark-submit", "p/deps/jars/a.jar", "p/deps/examples/b.jar", "p/setup.py", "p/deps/bin/../../escape"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	for _, closer := range []interface{ Close() error }{w, z, f} {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out")
	if err := extract(archive, "p/deps/", []string{"bin/", "jars/"}, out); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != archive {
			rel, _ := filepath.Rel(out, path)
			got = append(got, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"bin/spark-submit", "jars/a.jar"}; !slices.Equal(got, want) {
		t.Errorf("files are %v, want %v", got, want)
	}
}

// TestEntrypoint runs the script with a tini that prints what it is given.
func TestEntrypoint(t *testing.T) {
	script, err := source.ReadFile("rootfs/entrypoint.sh")
	if err != nil {
		t.Fatal(err)
	}
	shell := `exec() { shift 3; printf '%s\n' "$@"; }` + "\n" + string(script)
	run := func(t *testing.T, env []string, args ...string) string {
		t.Helper()
		cmd := exec.Command("bash", append([]string{"-c", shell, "entrypoint"}, args...)...)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	t.Run("driver", func(t *testing.T) {
		got := run(t, []string{"SPARK_DRIVER_BIND_ADDRESS=10.0.0.1"}, "driver", "--class", "a.B", "local:///app.jar", "an argument")
		want := "/opt/spark/bin/spark-submit\n--conf\nspark.driver.bindAddress=10.0.0.1\n" +
			"--conf\nspark.executorEnv.SPARK_DRIVER_POD_IP=10.0.0.1\n--deploy-mode\nclient\n--class\na.B\nlocal:///app.jar\nan argument\n"
		if got != want {
			t.Errorf("command is\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("executor", func(t *testing.T) {
		env := []string{"SPARK_EXECUTOR_MEMORY=512m", "SPARK_DRIVER_URL=spark://d", "SPARK_EXECUTOR_ID=2", "SPARK_EXECUTOR_CORES=1",
			"SPARK_APPLICATION_ID=app", "SPARK_EXECUTOR_POD_IP=10.0.0.2", "SPARK_RESOURCE_PROFILE_ID=0", "SPARK_EXECUTOR_POD_NAME=p"}
		// Out of order, and with more than one digit.
		for _, i := range []int{10, 2, 1, 0, 9, 8, 7, 6, 5, 4, 3} {
			env = append(env, fmt.Sprintf("SPARK_JAVA_OPT_%d=-Doption%d=two words", i, i))
		}
		got := run(t, env, "executor")
		options := ""
		for i := range 11 {
			options += fmt.Sprintf("-Doption%d=two words\n", i)
		}
		want := "java\n" + options + "-Xms512m\n-Xmx512m\n-cp\n/opt/spark/conf:/opt/spark/jars/*\n" +
			"org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend\n--driver-url\nspark://d\n--executor-id\n2\n--cores\n1\n" +
			"--app-id\napp\n--hostname\n10.0.0.2\n--resourceProfileId\n0\n--podName\np\n"
		if got != want {
			t.Errorf("command is\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("anything else", func(t *testing.T) {
		if got := run(t, nil, "sh", "-c", "true"); got != "sh\n-c\ntrue\n" {
			t.Errorf("command is %q", got)
		}
	})
}

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestWriteLayer(t *testing.T) {
	got := list(t, layer(t, time.Now()))
	want := []string{
		"opt/ 40755 0:0 1970-01-01 ",
		"opt/app/ 40755 0:0 1970-01-01 ",
		"opt/app/data/ 40775 185:185 1970-01-01 ",
		"opt/app/link 120777 0:0 1970-01-01 -> tool",
		"opt/app/tool 100755 0:0 1970-01-01 program",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the layer holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSameInputSameBytes(t *testing.T) {
	var archives [2]string
	for i, age := range []time.Duration{0, time.Hour} {
		archives[i] = filepath.Join(t.TempDir(), "image.tar")
		if err := Write(archives[i], spec(layer(t, time.Now().Add(-age)))); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, archives[0]) != read(t, archives[1]) {
		t.Error("two images of the same files differ")
	}
}

func TestImageIsReadAsItWasMeant(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := Write(archive, spec(layer(t, time.Now()))); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.org/tool:1")
	if err != nil {
		t.Fatal(err)
	}
	// This reads it as Docker does, by its tag in manifest.json.
	img, err := tarball.ImageFromPath(archive, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(config.Config.Entrypoint, config.Config.User, config.Config.WorkingDir, config.Config.Env, config.OS, config.Architecture, len(config.RootFS.DiffIDs))
	want := "[/opt/app/tool --quick] 65532 /opt/app [PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin A=b] linux amd64 1\n"
	if got != want {
		t.Errorf("configuration is %q, want %q", got, want)
	}
	// And this as containerd does, by the annotations of the layout.
	index := entry(t, archive, "index.json")
	for _, part := range []string{`"io.containerd.image.name":"example.org/tool:1"`, `"org.opencontainers.image.ref.name":"1"`} {
		if !strings.Contains(strings.ReplaceAll(index, " ", ""), part) {
			t.Errorf("index.json is %s, want it to contain %s", index, part)
		}
	}
}

func TestBadInputIsNamed(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Spec)
	}{
		{"a reference without a tag", "image reference", func(s *Spec) { s.Ref = "example.org/tool" }},
		{"no layers", "no layers", func(s *Spec) { s.Layers = nil }},
		{"a layer that is not there", "missing.tar", func(s *Spec) { s.Layers = []string{"missing.tar"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := spec(layer(t, time.Now()))
			c.change(&s)
			archive := filepath.Join(t.TempDir(), "image.tar")
			if err := Write(archive, s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("an archive is left (%v)", err)
			}
		})
	}
}

func spec(layer string) Spec {
	return Spec{
		Ref: "example.org/tool:1", Layers: []string{layer}, Entrypoint: []string{"/opt/app/tool", "--quick"},
		User: "65532", WorkDir: "/opt/app", Env: []string{"A=b"},
	}
}

// layer writes a layer with every sort of entry, from files of the given time.
func layer(t *testing.T, modified time.Time) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(dir, "files", "tool")
	if err := os.WriteFile(tool, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("tool", filepath.Join(dir, "files", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(tool, modified, modified); err != nil {
		t.Fatal(err)
	}
	entries, err := Tree(filepath.Join(dir, "files"), "opt/app")
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, Entry{Path: "/opt/app/data", Mode: fs.ModeDir | 0o775, UID: 185, GID: 185})
	out := filepath.Join(dir, "layer.tar")
	if err := WriteLayer(out, entries); err != nil {
		t.Fatal(err)
	}
	return out
}

// list describes every entry of a tar file.
func list(t *testing.T, path string) []string {
	t.Helper()
	var out []string
	each(t, path, func(h *tar.Header, content string) {
		if h.Linkname != "" {
			content = "-> " + h.Linkname
		}
		types := map[byte]int64{tar.TypeDir: 0o40000, tar.TypeSymlink: 0o120000, tar.TypeReg: 0o100000}
		out = append(out, fmt.Sprintf("%s %o %d:%d %s %s", h.Name, types[h.Typeflag]|h.Mode, h.Uid, h.Gid, h.ModTime.UTC().Format(time.DateOnly), content))
	})
	return out
}

func entry(t *testing.T, path, name string) string {
	t.Helper()
	found := ""
	each(t, path, func(h *tar.Header, content string) {
		if h.Name == name {
			found = content
		}
	})
	return found
}

func each(t *testing.T, path string, visit func(*tar.Header, string)) {
	t.Helper()
	r := tar.NewReader(strings.NewReader(read(t, path)))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		visit(h, string(content))
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

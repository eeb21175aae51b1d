// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// memory is a root in memory.
type memory struct{ fstest.MapFS }

func (m memory) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return m.MapFS.Open(name)
}

func (m memory) List(_ context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		_ = fs.WalkDir(m.MapFS, dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || name == dir {
				return nil
			}
			e := Entry{Path: name, Dir: d.IsDir()}
			if info, err := d.Info(); err == nil && !e.Dir {
				e.Size, e.ModTime = info.Size(), info.ModTime()
			}
			if !yield(e, nil) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// rootWith is a small healthy root with some files changed or added.
func rootWith(files map[string]string) memory {
	m := memory{fstest.MapFS{}}
	add := func(name, text string) { m.MapFS[name] = &fstest.MapFile{Data: []byte(text), ModTime: time.Unix(1, 0)} }
	add("metadata", `{"id":"7aeab0d6-f91a-4d05-902c-34d545725a0e"}`)
	for _, n := range []string{"0", "1"} {
		add("offsets/"+n, "v1\n{\"batchWatermarkMs\":0,\"conf\":{\"spark.sql.shuffle.partitions\":\"1\"}}\n{\"logOffset\":"+n+"}")
		add("commits/"+n, "v1\n{\"nextBatchWatermarkMs\":0}")
		add("sources/0/"+n, "v1\n{}")
	}
	for name, text := range files {
		add(name, text)
	}
	return m
}

// Nothing that a root says may cost much memory or time, and nothing is a panic.
func TestHostileRoots(t *testing.T) {
	huge := strings.Repeat("9", 18)
	for name, files := range map[string]map[string]string{
		"huge numbers":          {"offsets/" + huge: "v1\n{}\n-", "commits/" + huge: "v1\n{}", "sources/0/" + huge: "x", "state/" + huge + "/" + huge + "/" + huge + ".delta": "x"},
		"many partitions":       {"offsets/1": "v1\n{\"conf\":{\"spark.sql.shuffle.partitions\":\"1000000\"}}\n{\"logOffset\":1}", "state/0/0/2.delta": "x"},
		"too many partitions":   {"offsets/1": "v1\n{\"conf\":{\"spark.sql.shuffle.partitions\":\"" + huge + "\"}}\n{\"logOffset\":1}", "state/0/0/2.delta": "x"},
		"huge source position":  {"offsets/1": "v1\n{}\n{\"logOffset\":" + huge + "}"},
		"negative position":     {"offsets/1": "v1\n{}\n{\"logOffset\":-5}"},
		"one endless line":      {"offsets/1": "v1\n" + strings.Repeat("a", 1<<20)},
		"many lines":            {"offsets/1": "v1\n{}\n" + strings.Repeat("-\n", 1<<18)},
		"deep JSON":             {"offsets/1": "v1\n" + strings.Repeat("[", 1<<18)},
		"source outside":        {"offsets/1": "v2\n{}\n../../etc:{\"logOffset\":1}", "offsets/0": "v2\n{}\n../../etc:{\"logOffset\":0}"},
		"operator metadata":     {"state/0/_metadata/metadata": "v1\n{\"stateStoreInfo\":[{\"storeName\":\"../../..\",\"numPartitions\":1}]}", "state/0/0/2.delta": "x"},
		"operator partitions":   {"state/0/_metadata/metadata": "v1\n{\"stateStoreInfo\":[{\"storeName\":\"default\",\"numPartitions\":2147483647}]}", "state/0/0/2.delta": "x"},
		"operators":             {"state/" + huge + "/0/1.zip": "x", "state/3/0/1.zip": "x"},
		"schema outside":        {"state/0/_metadata/v2/0": "v2\n{\"operatorInfo\":{\"operatorName\":\"transformWithStateExec\"},\"stateStoreInfo\":[{\"storeName\":\"default\",\"numPartitions\":1,\"stateSchemaFilePaths\":[\"/root/../etc/passwd\"]}]}", "state/0/_stateSchema/x": "y"},
		"lengths in a delta":    {"state/0/0/2.delta": "LZ4Block\x1f\xff\xff\xff\x7f\xff\xff\xff\x7f\x00\x00\x00\x00", "state/0/0/1.delta": "LZ4Block"},
		"checksum chunk of 4 G": {".metadata.crc": "crc\x00\xff\xff\xff\xff"},
		"names":                 {"offsets/-1": "x", "offsets/0x1": "x", "commits/ 1": "x", "commits/1 ": "x", "state/a/b/c.delta": "x", "offsets/1\n2": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			report, err := Verify(ctx, rootWith(files), Options{Place: "/root"})
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 400<<20 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
			if len(report.Findings) > 200 {
				t.Errorf("%d findings", len(report.Findings))
			}
		})
	}
}

func TestAZipBombIsGivenUp(t *testing.T) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	entry, err := w.Create("metadata")
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 100 {
		if _, err := entry.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readZip(archive, "state/0/0", true); !isFormat(err) || !strings.Contains(err.Error(), "expands to more") {
		t.Error(err)
	}
}

func TestNamesInAZipStayInTheStore(t *testing.T) {
	for _, name := range []string{"../../../etc/passwd", "..", "", "a/b", "a\\b"} {
		data := "v1\n{\"sstFiles\":[{\"dfsSstFileName\":\"" + strings.ReplaceAll(name, "\\", "\\\\") + "\",\"sizeBytes\":1}]}"
		if _, err := parseFileList([]byte(data), "state/0/0"); !isFormat(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte(`{"id":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	root := unpack(t, "hdfs-41")
	if err := os.Remove(filepath.Join(root, "metadata")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "metadata")); err != nil {
		t.Fatal(err)
	}
	got := verifyDir(t, root, Options{Level: LevelLogs})
	if !slices.ContainsFunc(got.Findings, func(f Finding) bool { return f.Kind == KindMetadataMissing }) {
		t.Errorf("%+v", got.Findings)
	}
	src, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if f, err := src.Open(t.Context(), "metadata"); err == nil {
		f.Close()
		t.Error("a link out of the root was followed")
	}
}

func TestWhatIsNoRoot(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{"empty": {}, "something else": {"README": &fstest.MapFile{Data: []byte("x")}}} {
		if _, err := Verify(t.Context(), memory{files}, Options{}); err != ErrNoRoot {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A root whose first batch was never planned has nothing to lose.
func TestARootThatHasJustBegun(t *testing.T) {
	report, err := Verify(t.Context(), memory{fstest.MapFS{
		"metadata":    &fstest.MapFile{Data: []byte(`{"id":"7aeab0d6-f91a-4d05-902c-34d545725a0e"}`)},
		"sources/0/0": &fstest.MapFile{Data: []byte("v1\n{}")},
	}}, Options{})
	if err != nil || !report.Healthy || report.LastOffset != nil || len(report.RestorableBatches) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func FuzzLogs(f *testing.F) {
	for _, file := range []string{"offsets/0", "commits/0"} {
		f.Add(rootWith(nil).MapFS[file].Data)
	}
	f.Add([]byte("v2\n{}\n1:{\"logOffset\":4}\n0:-"))
	f.Add([]byte("v1\n{}\n{\"t\":{\"0\":1}}"))
	f.Add([]byte("v2\n{\"nextBatchWatermarkMs\":0,\"stateUniqueIds\":{\"0\":[[\"a\"]]}}"))
	f.Add([]byte("v3\n{\"sinkMetadataMap\":{\"o\":{\"isActive\":true}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := parseOffset(data); err == nil && o == nil {
			t.Error("nothing was parsed")
		}
		_, _ = parseCommit(data)
		_, _ = parseMetadata(data)
		_, _ = parseOperatorMetadata("x", data)
		_ = parseSchema(data)
		_, _ = parseFileList(data, "state/0/0")
		_, _ = Verify(t.Context(), rootWith(map[string]string{"offsets/1": string(data), "state/0/_metadata/v2/0": string(data), "state/0/0/2.delta": string(data)}), Options{Place: "/x"})
	})
}

func FuzzStateFiles(f *testing.F) {
	for _, p := range []string{"hdfs-41/state/0/0/6.delta", "rocksdb-changelog-41/state/0/0/11.changelog", "rocksdb-41/state/0/0/5.zip"} {
		name, at, _ := strings.Cut(p, "/")
		data, err := os.ReadFile(filepath.Join(unpack(f, name), at))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []string{"delta", "changelog"} {
			for _, codec := range []string{"lz4", "zstd"} {
				_, _ = records(kind, codec, bytes.NewReader(data))
			}
		}
		_, _ = readLineage("lz4", bytes.NewReader(data))
		if archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data))); err == nil {
			_, _ = readZip(archive, "state/0/0", true)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// File of a root. Its content never changes: a file that is written again is
// another File.
type File struct {
	Content []byte
	ModTime time.Time
	// Number tells a file from every other one that was ever there.
	Number int
}

// Files is a file system that holds one root. Directories stay once they were made.
type Files struct {
	// Now is the clock of the volume. Nil: one that goes on with every write.
	Now func() time.Time

	files  map[string]File
	dirs   map[string]bool
	writes int
}

// began is when the first file was written; every write is a few milliseconds later.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// NewFiles makes an empty root.
func NewFiles() *Files { return &Files{files: map[string]File{}, dirs: map[string]bool{}} }

// Clone is a copy of one instant: what a crash leaves, or a snapshot of the volume.
func (f *Files) Clone() *Files {
	return &Files{f.Now, maps.Clone(f.files), maps.Clone(f.dirs), f.writes}
}

// Get returns a file.
func (f *Files) Get(name string) (File, bool) {
	file, ok := f.files[name]
	return file, ok
}

// Put adds or replaces a file, with its directories.
func (f *Files) Put(name string, content []byte) {
	f.writes++
	at := began.Add(time.Duration(f.writes) * 3 * time.Millisecond)
	if f.Now != nil {
		at = f.Now()
	}
	f.Copy(name, File{content, at, f.writes})
}

// Copy adds or replaces a file as it was elsewhere.
func (f *Files) Copy(name string, file File) {
	f.files[name] = file
	for dir := path.Dir(name); dir != "." && !f.dirs[dir]; dir = path.Dir(dir) {
		f.dirs[dir] = true
	}
}

// Remove takes a file away.
func (f *Files) Remove(name string) { delete(f.files, name) }

// Below lists the names of the files in a directory and below it, sorted.
func (f *Files) Below(dir string) []string {
	var out []string
	for name := range f.files {
		if dir == "." || strings.HasPrefix(name, dir+"/") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// In lists the names in a directory, files and directories apart and sorted.
func (f *Files) In(dir string) (files, dirs []string) {
	for name := range f.files {
		if path.Dir(name) == dir {
			files = append(files, name)
		}
	}
	for name := range f.dirs {
		if path.Dir(name) == dir {
			dirs = append(dirs, name)
		}
	}
	slices.Sort(files)
	slices.Sort(dirs)
	return files, dirs
}

// numbers lists the files of a directory that are named by a number and a suffix.
func (f *Files) numbers(dir, suffix string) []int64 {
	var out []int64
	for name := range f.files {
		if !strings.HasPrefix(name, dir) || !strings.HasSuffix(name, suffix) || len(name) <= len(dir)+1+len(suffix) {
			continue
		}
		base := name[len(dir)+1 : len(name)-len(suffix)]
		if base[0] < '0' || base[0] > '9' || name[len(dir)] != '/' {
			continue
		}
		if n, err := strconv.ParseInt(base, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// last is the highest number, or -1.
func last(numbers []int64) int64 {
	if len(numbers) == 0 {
		return -1
	}
	return numbers[len(numbers)-1]
}

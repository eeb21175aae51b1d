package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Entry is one file, directory or link of a layer. Owner, mode and time come
// from here and never from the machine that builds the layer.
type Entry struct {
	// Path is where it is in the image, with or without the leading slash.
	Path string
	// Source is the file on this machine to copy; Data its content when
	// Source is empty.
	Source string
	Data   []byte
	// Link is the target of a symbolic link.
	Link string
	// Mode holds the permissions, and fs.ModeDir for a directory.
	Mode fs.FileMode
	// UID and GID are the numeric owner.
	UID, GID int
}

// Tree returns the files under a directory of this machine as entries under
// prefix, owned by root: executable ones and directories with mode 0755, the
// others with 0644.
func Tree(dir, prefix string) ([]Entry, error) {
	var entries []Entry
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := Entry{Path: path.Join(prefix, filepath.ToSlash(rel)), Source: p, Mode: 0o644}
		switch {
		case d.IsDir():
			e.Mode, e.Source = fs.ModeDir|0o755, ""
		case info.Mode()&fs.ModeSymlink != 0:
			e.Source = ""
			e.Link, err = os.Readlink(p)
		case info.Mode()&0o111 != 0:
			e.Mode = 0o755
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return entries, nil
}

// WriteLayer writes a tar file of the entries and of the directories above
// them. The same entries give the same bytes.
func WriteLayer(out string, entries []Entry) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("create layer: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, e := range withParents(entries) {
		if err := writeEntry(w, e); err != nil {
			return fmt.Errorf("write %s to layer: %w", e.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return nil
}

// withParents sorts the entries by path and adds the directories that they
// leave out. An entry that is named twice counts as it is named last.
func withParents(entries []Entry) []Entry {
	all := map[string]Entry{}
	for _, e := range entries {
		for dir := path.Dir(clean(e.Path)); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = Entry{Path: dir, Mode: fs.ModeDir | 0o755}
			}
		}
		e.Path = clean(e.Path)
		all[e.Path] = e
	}
	delete(all, ".")
	var sorted []Entry
	for _, e := range all {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return sorted
}

// clean returns a path as a tar file names it, relative to the root, which
// itself is ".".
func clean(p string) string {
	if c := strings.TrimPrefix(path.Clean("/"+p), "/"); c != "" {
		return c
	}
	return "."
}

func writeEntry(w *tar.Writer, e Entry) error {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), Uid: e.UID, Gid: e.GID, ModTime: epoch, Format: tar.FormatPAX}
	if e.Mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		return w.WriteHeader(h)
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
		return w.WriteHeader(h)
	case e.Source == "":
		h.Typeflag, h.Size = tar.TypeReg, int64(len(e.Data))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(e.Data)
		return err
	}
	return copyFile(w, h, e.Source)
}

func copyFile(w *tar.Writer, h *tar.Header, source string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

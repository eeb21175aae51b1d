// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// entry is one file in a list.
type entry struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	// ModTime in nanoseconds since 1970.
	ModTime int64  `json:"modTime"`
	Tag     string `json:"tag,omitempty"`
	SHA256  string `json:"sha256"`
	// Object that holds the content, and where in it the content begins. Empty
	// for an empty file.
	Object string `json:"object,omitempty"`
	Offset int64  `json:"offset,omitempty"`
}

// check refuses what this package would not have written.
func (e *entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	sum, err := hex.DecodeString(e.SHA256)
	if err != nil || len(sum) != sha256.Size || e.Size < 0 || e.Offset < 0 || (e.Size > 0) != (e.Object != "") ||
		(e.Object != "" && checkObject(e.Object) != nil) {
		return fmt.Errorf("%w: entry of %q does not make sense", ErrDamaged, e.Path)
	}
	return nil
}

func checkObject(key string) error {
	name, ok := strings.CutPrefix(key, objectsDir)
	if !ok || strings.Contains(name, "/") || len(name) <= 2*sha256.Size {
		return fmt.Errorf("%w: %q is not the key of an object", ErrDamaged, key)
	}
	return checkPath(name)
}

// maxLine bounds a line of a list in bytes: a path has at most 4096.
const maxLine = 64 << 10

// listWriter writes a list to a spool file.
type listWriter struct {
	file    *os.File
	hash    hash.Hash
	size    counter
	zip     *gzip.Writer
	buffer  *bufio.Writer
	encoder *json.Encoder
	files   int64
	bytes   int64
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func newListWriter(spool string) (*listWriter, error) {
	file, err := spoolFile(spool)
	if err != nil {
		return nil, err
	}
	w := &listWriter{file: file, hash: sha256.New()}
	w.zip, err = gzip.NewWriterLevel(io.MultiWriter(file, w.hash, &w.size), gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress a file list: %w", err)
	}
	w.buffer = bufio.NewWriterSize(w.zip, 64<<10)
	w.encoder = json.NewEncoder(w.buffer)
	w.encoder.SetEscapeHTML(false)
	return w, nil
}

// spoolFile is removed from its directory at once, so that a crash leaves none.
func spoolFile(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "backup-*")
	if err != nil {
		return nil, fmt.Errorf("spool a file list: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool a file list: %w", err), file.Close())
	}
	return file, nil
}

func (w *listWriter) write(e *entry) error {
	w.files++
	w.bytes += e.Size
	if err := w.encoder.Encode(e); err != nil {
		return fmt.Errorf("spool a file list: %w", err)
	}
	return nil
}

// finish completes the file and returns what it holds.
func (w *listWriter) finish() (Reference, error) {
	if err := errors.Join(w.buffer.Flush(), w.zip.Close()); err != nil {
		return Reference{}, fmt.Errorf("spool a file list: %w", err)
	}
	return Reference{SHA256: hex.EncodeToString(w.hash.Sum(nil)), Size: int64(w.size)}, nil
}

func (w *listWriter) close() { _ = w.file.Close() }

// listReader reads a list in order.
type listReader struct {
	file    *os.File
	scanner *bufio.Scanner
	last    string
}

// readList starts at the beginning of a finished list.
func readList(file *os.File, size int64) (*listReader, error) {
	zip, err := gzip.NewReader(bufio.NewReader(io.NewSectionReader(file, 0, size)))
	if err != nil {
		return nil, fmt.Errorf("%w: file list: %w", ErrDamaged, err)
	}
	scanner := bufio.NewScanner(zip)
	scanner.Buffer(make([]byte, 4<<10), maxLine)
	return &listReader{file: file, scanner: scanner}, nil
}

// next returns nil at the end.
func (r *listReader) next() (*entry, error) {
	if !r.scanner.Scan() {
		if err := r.scanner.Err(); err != nil {
			return nil, fmt.Errorf("%w: file list: %w", ErrDamaged, err)
		}
		return nil, nil
	}
	e, err := parseLine(r.scanner.Bytes())
	if err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("%w: file list: %w", ErrDamaged, err)
	}
	if r.last >= e.Path {
		return nil, fmt.Errorf("%w: file list has %q after %q", ErrDamaged, e.Path, r.last)
	}
	r.last = e.Path
	return e, nil
}

func (r *listReader) close() { _ = r.file.Close() }

// fetchList brings a list to the spool and checks its hash before anything in
// it is believed.
func (r *Repository) fetchList(ctx context.Context, ref Reference) (*listReader, error) {
	file, err := spoolFile(r.spool)
	if err != nil {
		return nil, err
	}
	if err := r.fetchInto(ctx, file, ref); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("fetch file list %s: %w", ref.Key, err)
	}
	list, err := readList(file, ref.Size)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return list, nil
}

func (r *Repository) fetchInto(ctx context.Context, w io.Writer, ref Reference) error {
	body, _, err := r.store.Get(ctx, r.prefix+ref.Key, objectstore.Range{})
	if err != nil {
		return missing(err)
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(body, ref.Size+1))
	if err != nil {
		return err
	}
	if n != ref.Size || hex.EncodeToString(sum.Sum(nil)) != ref.SHA256 {
		return fmt.Errorf("%w: content differs from its hash", ErrDamaged)
	}
	return nil
}

// missing turns "not found" of something that a point names into damage.
func missing(err error) error {
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

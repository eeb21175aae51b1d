// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// idSet is a set of objects by the id of their key, 16 bytes each.
type idSet struct {
	ids    [][16]byte
	sorted int
}

func compareIDs(a, b [16]byte) int { return slices.Compare(a[:], b[:]) }

func (s *idSet) add(id [16]byte) {
	s.ids = append(s.ids, id)
	if len(s.ids) > 2*s.sorted+4096 {
		s.sort()
	}
}

func (s *idSet) sort() {
	slices.SortFunc(s.ids, compareIDs)
	s.ids = slices.Compact(s.ids)
	s.sorted = len(s.ids)
}

func (s *idSet) has(id [16]byte) bool {
	if s.sorted != len(s.ids) {
		s.sort()
	}
	_, there := slices.BinarySearchFunc(s.ids, id, compareIDs)
	return there
}

// condemned is one line of the record of objects that no point names.
type condemned struct {
	// ID of the key in hex.
	ID string `json:"id"`
	// Since is the store's clock, in seconds since 1970, at the start of the run
	// that found it first.
	Since int64 `json:"since"`
}

// deleteBatch is how many objects one request deletes.
const deleteBatch = 1000

// collect deletes what was condemned long enough ago and writes down what is
// condemned now. When collecting is blocked everything is forgotten, since
// points may be removed after this that nobody could read.
func (p *pruner) collect(ctx context.Context) error {
	if p.report.Blocked != "" {
		return p.forget(ctx)
	}
	before, err := p.readCondemned(ctx)
	if err != nil {
		return err
	}
	record, err := newCondemnedWriter(p.repo.spool)
	if err != nil {
		return err
	}
	defer record.file.Close()
	var doomed []string
	for info, err := range p.repo.store.List(ctx, p.repo.prefix+objectsDir) {
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		id := idOf(strings.TrimPrefix(info.Key, p.repo.prefix))
		if p.named.has(id) {
			continue
		}
		since, known := before[id]
		if known && p.now.Sub(time.Unix(since, 0)) >= Grace {
			doomed = append(doomed, info.Key)
			p.report.CollectedObjects++
			p.report.CollectedBytes += info.Size
		} else {
			if !known {
				since = p.now.Unix()
			}
			p.report.Condemned++
			if err := record.write(condemned{hex.EncodeToString(id[:]), since}); err != nil {
				return err
			}
		}
		if len(doomed) == deleteBatch {
			if err := p.delete(ctx, doomed); err != nil {
				return err
			}
			doomed = doomed[:0]
		}
	}
	if err := p.delete(ctx, doomed); err != nil {
		return err
	}
	if len(before) == 0 && p.report.Condemned == 0 {
		return nil
	}
	return p.writeCondemned(ctx, record)
}

func (p *pruner) delete(ctx context.Context, keys []string) error {
	if len(keys) == 0 || p.options.DryRun {
		return nil
	}
	if err := p.may(ctx); err != nil {
		return err
	}
	if err := p.repo.store.Delete(ctx, keys); err != nil {
		return fmt.Errorf("collect objects: %w", err)
	}
	return nil
}

func (p *pruner) forget(ctx context.Context) error {
	if p.options.DryRun {
		return nil
	}
	if err := p.repo.store.Delete(ctx, []string{p.repo.prefix + condemnedKey}); err != nil {
		return fmt.Errorf("forget what is condemned: %w", err)
	}
	return nil
}

func (p *pruner) readCondemned(ctx context.Context) (map[[16]byte]int64, error) {
	body, _, err := p.repo.store.Get(ctx, p.repo.prefix+condemnedKey, objectstore.Range{})
	if objectstore.KindOf(err) == objectstore.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is condemned: %w", err)
	}
	defer body.Close()
	found, err := decodeCondemned(body)
	if err == nil || objectstore.KindOf(err) != objectstore.KindOther {
		return found, err
	}
	// A record that makes no sense is as good as none: everything waits anew.
	return nil, nil
}

func decodeCondemned(from io.Reader) (map[[16]byte]int64, error) {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("read what is condemned: %w", err)
	}
	decoder := json.NewDecoder(zip)
	found := map[[16]byte]int64{}
	for {
		var line condemned
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read what is condemned: %w", err)
		}
		id, err := hex.DecodeString(line.ID)
		if err != nil || len(id) != 16 {
			return nil, fmt.Errorf("read what is condemned: id is %q", line.ID)
		}
		found[[16]byte(id)] = line.Since
	}
}

type condemnedWriter struct {
	file   *os.File
	zip    *gzip.Writer
	buffer *bufio.Writer
	lines  *json.Encoder
}

func newCondemnedWriter(spool string) (*condemnedWriter, error) {
	file, err := spoolFile(spool)
	if err != nil {
		return nil, err
	}
	w := &condemnedWriter{file: file, zip: gzip.NewWriter(file)}
	w.buffer = bufio.NewWriter(w.zip)
	w.lines = json.NewEncoder(w.buffer)
	return w, nil
}

func (w *condemnedWriter) write(line condemned) error {
	if err := w.lines.Encode(line); err != nil {
		return fmt.Errorf("spool what is condemned: %w", err)
	}
	return nil
}

func (p *pruner) writeCondemned(ctx context.Context, w *condemnedWriter) error {
	if p.options.DryRun {
		return nil
	}
	if err := errors.Join(w.buffer.Flush(), w.zip.Close()); err != nil {
		return fmt.Errorf("spool what is condemned: %w", err)
	}
	info, err := w.file.Stat()
	if err != nil {
		return fmt.Errorf("spool what is condemned: %w", err)
	}
	if err := p.may(ctx); err != nil {
		return err
	}
	if _, err := p.repo.store.Put(ctx, p.repo.prefix+condemnedKey, w.file, info.Size(), objectstore.PutOptions{}); err != nil {
		return fmt.Errorf("write what is condemned: %w", err)
	}
	return nil
}

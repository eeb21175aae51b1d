// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// Sizes in bytes. A request costs more than a small file, on the wire and on
// the bill; a large file gains nothing from company.
const (
	smallFile = 256 << 10
	packSize  = 4 << 20
	// segmentFiles bounds the memory of one segment.
	segmentFiles = 2048
	// packers is how many packs are in memory at a time.
	packers = 4
)

// item is one file on its way into the list.
type item struct {
	file File
	// known is an earlier entry of the path with the same size.
	known *entry
	// settled means that known is the file and nothing has to be read.
	settled bool
	sum     string
	object  string
	offset  int64
}

func (it *item) entry() *entry {
	return &entry{
		Path: it.file.Path, Size: it.file.Size, ModTime: it.file.ModTime.UnixNano(), Tag: it.file.Tag,
		SHA256: it.sum, Object: it.object, Offset: it.offset,
	}
}

// reuse takes the content of the earlier entry.
func (it *item) reuse() {
	it.sum, it.object, it.offset = it.known.SHA256, it.known.Object, it.known.Offset
	it.settled = true
}

// segment is a stretch of consecutive files of a root, the unit of work. Its
// small files share a pack.
type segment struct {
	items []*item
	// pending bytes of small files that must be read.
	pending int64
	done    chan struct{}
}

func newSegment() *segment { return &segment{done: make(chan struct{})} }

// full tells whether a file has to go to the next segment.
func (s *segment) full(f *File, settled bool) bool {
	if len(s.items) >= segmentFiles {
		return true
	}
	return !settled && f.Size <= smallFile && s.pending > 0 && s.pending+f.Size > packSize
}

func (s *segment) add(it *item) {
	s.items = append(s.items, it)
	if !it.settled && it.file.Size <= smallFile {
		s.pending += it.file.Size
	}
}

// send brings everything of the segment to the store that is not there yet.
func (c *copier) send(ctx context.Context, s *segment) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.repo.concurrency + 1)
	var small []*item
	for _, it := range s.items {
		switch {
		case it.settled:
		case it.file.Size <= smallFile:
			small = append(small, it)
		default:
			g.Go(func() error { return c.sendLarge(ctx, it) })
		}
	}
	if len(small) > 0 {
		g.Go(func() error { return c.sendPack(ctx, small, s.pending) })
	}
	return g.Wait()
}

// sendPack reads small files side by side and sends those that are new as one
// object.
func (c *copier) sendPack(ctx context.Context, items []*item, size int64) error {
	buffer := make([]byte, size)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.repo.concurrency)
	rest := buffer
	parts := make([][]byte, len(items))
	for i, it := range items {
		parts[i], rest = rest[:it.file.Size], rest[it.file.Size:]
		g.Go(func() error { return c.readSmall(gctx, it, parts[i]) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var fresh []*item
	end := int64(0)
	for i, it := range items {
		if it.file.Size == 0 || c.unchanged(it) {
			continue
		}
		it.offset = end
		end += int64(copy(buffer[end:], parts[i])) // moves down over what was left out
		fresh = append(fresh, it)
	}
	if len(fresh) == 0 {
		return nil
	}
	sum := sha256.Sum256(buffer[:end])
	object, err := c.put(ctx, bytes.NewReader(buffer), end, hex.EncodeToString(sum[:]), len(fresh))
	if err != nil {
		return err
	}
	for _, it := range fresh {
		it.object = object
	}
	return nil
}

func (c *copier) readSmall(ctx context.Context, it *item, into []byte) error {
	r, err := c.open(ctx, it)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.ReadFull(r, into); err != nil {
		return readError(it, err)
	}
	if err := errors.Join(atEnd(it, r), stillSame(it, r)); err != nil {
		return err
	}
	sum := sha256.Sum256(into)
	it.sum = hex.EncodeToString(sum[:])
	return nil
}

// sendLarge reads a file twice, for its hash and for the store, rather than
// hold it in memory.
func (c *copier) sendLarge(ctx context.Context, it *item) error {
	r, err := c.open(ctx, it)
	if err != nil {
		return err
	}
	defer r.Close()
	body, ok := r.(io.ReaderAt)
	if !ok {
		spooled, err := c.spooled(it, r)
		if err != nil {
			return err
		}
		defer spooled.Close()
		body = spooled
	}
	whole := io.NewSectionReader(body, 0, it.file.Size+1)
	hash := sha256.New()
	if n, err := io.Copy(hash, whole); err != nil || n != it.file.Size {
		return errors.Join(readError(it, err), changed(it, n))
	}
	it.sum = hex.EncodeToString(hash.Sum(nil))
	if c.unchanged(it) {
		return nil
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	watched := &shortening{ReaderAt: body, size: it.file.Size, found: stop}
	it.object, err = c.put(sending, watched, it.file.Size, it.sum, 1)
	if n := watched.at.Load(); n > 0 && ctx.Err() == nil {
		return changed(it, n-1)
	}
	return errors.Join(err, stillSame(it, r))
}

// shortening notices that a file ends before its size. The store's client would take
// that for a connection that broke, and try again for minutes.
type shortening struct {
	io.ReaderAt
	size int64
	// at is one more than where the file ended; 0: it did not.
	at    atomic.Int64
	found func()
}

// ReadAt implements io.ReaderAt.
func (s *shortening) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	if end := off + int64(n); errors.Is(err, io.EOF) && end < s.size {
		s.at.Store(end + 1)
		s.found()
	}
	return n, err
}

// unchanged takes the earlier content when the hash proves it equal.
func (c *copier) unchanged(it *item) bool {
	if it.known == nil || it.known.SHA256 != it.sum || !c.reusable(it.known) {
		return false
	}
	it.reuse()
	return true
}

func (c *copier) open(ctx context.Context, it *item) (io.ReadCloser, error) {
	r, err := c.cut.Open(ctx, it.file)
	if err != nil {
		return nil, readError(it, err)
	}
	return r, nil
}

func (c *copier) spooled(it *item, r io.Reader) (*os.File, error) {
	file, err := spoolFile(c.repo.spool)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(file, io.LimitReader(r, it.file.Size+1)); err != nil {
		return nil, errors.Join(readError(it, err), file.Close())
	}
	return file, nil
}

// stillSame looks whether the opened file is the one that was listed, and was
// not written while it was read. Only what can be looked at is judged; other
// sources compare their tag when they open.
func stillSame(it *item, r io.Reader) error {
	file, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return readError(it, err)
	}
	if info.Size() != it.file.Size || !info.ModTime().Equal(it.file.ModTime) || (it.file.Tag != "" && tagOf(info) != it.file.Tag) {
		return fmt.Errorf("%w: %s was replaced or written", ErrOvertaken, it.file.Path)
	}
	return nil
}

func (c *copier) put(ctx context.Context, body io.ReaderAt, size int64, sum string, files int) (string, error) {
	key := objectsDir + sum + "-" + c.run
	if _, err := c.repo.store.Put(ctx, c.repo.prefix+key, body, size, objectstore.PutOptions{SHA256: sum}); err != nil {
		return "", fmt.Errorf("send to the store: %w", err)
	}
	c.meter.add(func(p *Progress) {
		p.SentFiles += int64(files)
		p.SentBytes += size
	})
	return key, nil
}

func atEnd(it *item, r io.Reader) error {
	if n, _ := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return changed(it, it.file.Size+int64(n))
	}
	return nil
}

// changed reports a file that is not what the cut says; n is the size found.
func changed(it *item, n int64) error {
	return fmt.Errorf("%w: %s changed while it was read, %d bytes instead of %d", ErrOvertaken, it.file.Path, n, it.file.Size)
}

func readError(it *item, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrOvertaken):
		return err
	case errors.Is(err, fs.ErrNotExist) || objectstore.KindOf(err) == objectstore.KindNotFound:
		return fmt.Errorf("%w: %s vanished: %w", ErrOvertaken, it.file.Path, err)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || objectstore.KindOf(err) == objectstore.KindChanged:
		return fmt.Errorf("%w: %s changed while it was read: %w", ErrOvertaken, it.file.Path, err)
	default:
		return fmt.Errorf("read %s: %w", it.file.Path, err)
	}
}

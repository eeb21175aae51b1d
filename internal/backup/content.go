// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// deliver takes one file's content. Reading fails with ErrDamaged instead of
// io.EOF when the content is not what the entry says, so who writes it out must
// not call it complete before the end was read.
type deliver func(ctx context.Context, e *entry, body io.Reader) error

// pick takes the wanted ones of some files that follow each other in a list.
type pick func(ctx context.Context, some []*entry) ([]*entry, error)

// contents reads the wanted files of a list and hands them to the caller, many
// at a time and in no order.
func (r *Repository) contents(ctx context.Context, list *listReader, want pick, to deliver) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.concurrency)
	packs := make(chan struct{}, packers)
	batch := make([]*entry, 0, segmentFiles)
	for {
		e, err := list.next()
		if err != nil {
			return waitWith(g, err)
		}
		if e != nil {
			batch = append(batch, e)
		}
		if len(batch) == segmentFiles || e == nil {
			wanted, err := want(ctx, batch)
			if err != nil {
				return waitWith(g, err)
			}
			for _, job := range jobsOf(wanted) {
				if ctx.Err() != nil {
					break
				}
				g.Go(func() error { return r.run(ctx, job, packs, to) })
			}
			batch = batch[:0:0]
		}
		if e == nil || ctx.Err() != nil {
			return waitWith(g, nil)
		}
	}
}

func waitWith(g *errgroup.Group, err error) error {
	if waited := g.Wait(); err == nil {
		return waited
	}
	return err
}

// job is one request: files that lie near each other in one object.
type job struct {
	object     string
	start, end int64
	entries    []*entry
}

// nearby is how many unwanted bytes are read rather than ask twice.
const nearby = 128 << 10

func jobsOf(entries []*entry) []job {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Offset, b.Offset))
	})
	var jobs []job
	for _, e := range sorted {
		end := e.Offset + e.Size
		if last := len(jobs) - 1; last >= 0 {
			j := &jobs[last]
			if j.object == e.Object && e.Offset <= j.end+nearby && max(j.end, end)-j.start <= packSize {
				j.end = max(j.end, end)
				j.entries = append(j.entries, e)
				continue
			}
		}
		jobs = append(jobs, job{e.Object, e.Offset, end, []*entry{e}})
	}
	return jobs
}

func (r *Repository) run(ctx context.Context, j job, packs chan struct{}, to deliver) error {
	if j.object == "" {
		return eachOf(j, func(e *entry) error { return to(ctx, e, verifying(e, bytes.NewReader(nil))) })
	}
	if len(j.entries) == 1 {
		return r.runLarge(ctx, j, to)
	}
	select {
	case packs <- struct{}{}:
		defer func() { <-packs }()
	case <-ctx.Done():
		return ctx.Err()
	}
	buffer := make([]byte, j.end-j.start)
	body, err := r.part(ctx, j)
	if err != nil {
		return err
	}
	_, err = io.ReadFull(body, buffer)
	if closed := body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", j.object, shorter(err))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(packers)
	for _, e := range j.entries {
		g.Go(func() error {
			from := e.Offset - j.start
			return to(ctx, e, verifying(e, bytes.NewReader(buffer[from:from+e.Size])))
		})
	}
	return g.Wait()
}

func eachOf(j job, do func(*entry) error) error {
	for _, e := range j.entries {
		if err := do(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) runLarge(ctx context.Context, j job, to deliver) error {
	body, err := r.part(ctx, j)
	if err != nil {
		return err
	}
	defer body.Close()
	return to(ctx, j.entries[0], verifying(j.entries[0], body))
}

func (r *Repository) part(ctx context.Context, j job) (io.ReadCloser, error) {
	body, _, err := r.store.Get(ctx, r.prefix+j.object, objectstore.Range{Offset: j.start, Length: j.end - j.start})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", j.object, missing(err))
	}
	return body, nil
}

// shorter turns an object that ends too early into damage.
func shorter(err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return fmt.Errorf("%w: the object is shorter than the list says", ErrDamaged)
	}
	return err
}

// verifyingReader compares what was read with the entry.
type verifyingReader struct {
	e    *entry
	from io.Reader
	hash hash.Hash
	n    int64
}

func verifying(e *entry, from io.Reader) io.Reader {
	return &verifyingReader{e: e, from: io.LimitReader(from, e.Size), hash: sha256.New()}
}

func (v *verifyingReader) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	if err == io.EOF && (v.n != v.e.Size || hex.EncodeToString(v.hash.Sum(nil)) != v.e.SHA256) {
		return n, fmt.Errorf("%w: %s in %s differs from its hash", ErrDamaged, v.e.Path, v.e.Object)
	}
	return n, err
}

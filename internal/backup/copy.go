// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// copier sends one root and writes its list.
type copier struct {
	repo  *Repository
	cut   *Cut
	run   string
	base  *base
	inv   *inventory
	list  *listWriter
	meter *meter
	last  string
}

// copy goes over the cut in order: segments are made here, sent by workers, and
// written to the list in order again.
func (c *copier) copy(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan *segment)
	order := make(chan *segment, packers)
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return c.produce(ctx, func(s *segment) error {
			for _, queue := range []chan *segment{order, work} {
				select {
				case queue <- s:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range packers {
		g.Go(func() error {
			for s := range work {
				if err := c.send(ctx, s); err != nil {
					return err
				}
				close(s.done)
			}
			return nil
		})
	}
	g.Go(func() error { return c.collect(ctx, order) })
	return g.Wait()
}

func (c *copier) produce(ctx context.Context, emit func(*segment) error) error {
	s := newSegment()
	for file, err := range c.cut.Files {
		if err != nil {
			return listError(err)
		}
		if err := c.checkNext(&file); err != nil {
			return err
		}
		it, err := c.lookUp(file)
		if err != nil {
			return err
		}
		if s.full(&file, it.settled) {
			if err := emit(s); err != nil {
				return err
			}
			s = newSegment()
		}
		s.add(it)
	}
	if len(s.items) == 0 {
		return fmt.Errorf("query root %s holds no file: %w", c.cut.Root, ErrNothing)
	}
	return emit(s)
}

func listError(err error) error {
	if errors.Is(err, fs.ErrNotExist) || objectstore.KindOf(err) == objectstore.KindNotFound {
		return fmt.Errorf("%w: %w", ErrOvertaken, err)
	}
	return fmt.Errorf("list the files of the cut: %w", err)
}

func (c *copier) checkNext(f *File) error {
	if err := checkPath(f.Path); err != nil {
		return fmt.Errorf("file of the cut: %w", err)
	}
	if f.Path <= c.last {
		return fmt.Errorf("files of the cut are out of order: %q after %q", f.Path, c.last)
	}
	if f.Size < 0 {
		return fmt.Errorf("file %q of the cut has size %d", f.Path, f.Size)
	}
	c.last = f.Path
	return nil
}

func (c *copier) lookUp(f File) (*item, error) {
	it := &item{file: f}
	known, same, err := c.base.find(&f)
	if err != nil {
		return nil, err
	}
	it.known = known
	if same && c.reusable(known) {
		it.reuse()
	}
	return it, nil
}

// reusable tells whether the content of an earlier entry may be named again: it
// must be in the store, and not keep a pack alive that is mostly waste.
func (c *copier) reusable(e *entry) bool {
	return c.inv.holds(e) && !c.base.wasteful(e, c.inv)
}

func (c *copier) collect(ctx context.Context, order <-chan *segment) error {
	for s := range order {
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, it := range s.items {
			if err := c.list.write(it.entry()); err != nil {
				return err
			}
			c.meter.add(func(p *Progress) {
				p.Files++
				p.Bytes += it.file.Size
			})
		}
	}
	return nil
}

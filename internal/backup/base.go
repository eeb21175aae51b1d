// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// racy is how close before the start of a run a file may have been written so
// that a later change could leave size and time as they were.
const racy = 2 * time.Second

// base is what earlier copies already sent of one root, read beside the cut in
// the same order.
type base struct {
	lists []*baseList
	// live bytes of each pack that the point before names.
	live map[string]int64
}

// A pack is given up when less than a quarter of it is in use and that wastes
// at least this many bytes: its files are sent again with their new neighbours.
const wasteOfPack = 1 << 20

func (b *base) wasteful(e *entry, inv *inventory) bool {
	live, packed := b.live[e.Object]
	if !packed {
		return false
	}
	pack, _ := inv.find(e.Object)
	return pack.size-live >= wasteOfPack && 4*live < pack.size
}

// weigh adds up what is in use of each pack.
func (b *base) weigh(reader *listReader) error {
	b.live = map[string]int64{}
	for {
		e, err := reader.next()
		if e == nil || err != nil {
			return err
		}
		if e.Object != "" && e.Size <= smallFile {
			b.live[e.Object] += e.Size
		}
	}
}

type baseList struct {
	reader *listReader
	head   *entry
	// settled is the time before which an equal ModTime proves an equal file.
	settled int64
}

func (b *base) add(reader *listReader, startedAt time.Time) error {
	list := &baseList{reader: reader, settled: startedAt.Add(-racy).UnixNano()}
	b.lists = append(b.lists, list)
	return list.advance()
}

func (l *baseList) advance() (err error) {
	l.head, err = l.reader.next()
	return err
}

// find returns the entry of a path and whether the file is surely the same.
// Paths must be asked for in ascending order.
func (b *base) find(f *File) (found *entry, same bool, err error) {
	for _, list := range b.lists {
		for list.head != nil && strings.Compare(list.head.Path, f.Path) < 0 {
			if err := list.advance(); err != nil {
				return nil, false, err
			}
		}
		e := list.head
		if e == nil || e.Path != f.Path || e.Size != f.Size {
			continue
		}
		if e.ModTime == f.ModTime.UnixNano() && e.Tag == f.Tag && e.ModTime < list.settled {
			return e, true, nil
		}
		found = e
	}
	return found, false, nil
}

func (b *base) close() {
	for _, list := range b.lists {
		list.reader.close()
	}
}

// start reads the list once for the packs and then from the beginning again.
func (b *base) start(reader *listReader, startedAt time.Time, size int64) error {
	if err := b.weigh(reader); err != nil {
		reader.close()
		return err
	}
	again, err := readList(reader.file, size)
	if err != nil {
		reader.close()
		return err
	}
	return b.add(again, startedAt)
}

// baseOf opens the list of the same root in an earlier point. A list that is
// lost or damaged costs a full copy, never the backup.
func (r *Repository) baseOf(ctx context.Context, point *Manifest, root string) (*base, error) {
	b := &base{}
	if point == nil {
		return b, nil
	}
	for _, rm := range point.Roots {
		if rm.Root != root {
			continue
		}
		reader, err := r.fetchList(ctx, rm.List)
		if errors.Is(err, ErrDamaged) {
			return b, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the file list of the point before: %w", err)
		}
		err = b.start(reader, point.StartedAt, rm.List.Size)
		if errors.Is(err, ErrDamaged) {
			return &base{}, nil
		}
		return b, err
	}
	return b, nil
}

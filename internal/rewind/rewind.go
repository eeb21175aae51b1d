// SPDX-License-Identifier: Apache-2.0

// Package rewind takes a checkpoint root back to an earlier committed batch: in place,
// or by a copy of the batch's restorable set to a new root.
//
// In place is only safe while nothing can write to the root any more. A driver that
// was frozen and wakes up after a rewind overwrites the new timeline's state with the
// old one before it notices anything (seen with real Spark), so the caller has to know
// that its containers have ended; that files hold still proves nothing. A copy is
// something that such a driver does not know.
//
// Nothing is deleted: what has to go is moved aside below the root. A run that is cut
// off anywhere leaves the root as it was, or marked so that no guarded driver starts on
// it, and another run completes it.
package rewind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/guard"
)

// Errors that callers tell apart.
var (
	// ErrLocked: somebody else works on the root, or on the place it lies in.
	ErrLocked = errors.New("the root is locked")
	// ErrNotQuiet: something writes to the root.
	ErrNotQuiet = errors.New("the root does not hold still")
	// ErrUnfinished: other work on the root has begun and must be completed first.
	ErrUnfinished = errors.New("other work on the root is unfinished")
	// ErrNotRestorable: the root cannot be gone on with after the batch.
	ErrNotRestorable = errors.New("the root cannot be taken back to that batch")
	// ErrOlder: the root is an older copy, which a rewind would hide.
	ErrOlder = errors.New("the root is an older copy")
	// ErrOtherOwner: the root belongs to another pipeline.
	ErrOtherOwner = errors.New("the root belongs to another pipeline")
	// ErrTarget: the new root cannot be where it was asked for.
	ErrTarget = errors.New("the new root cannot be there")
)

// Newest asks for the newest batch that the root can be gone on with.
const Newest = -1

// Owner is whose a root must be.
type Owner struct{ Namespace, Name string }

// Rewind is one run.
type Rewind struct {
	// Dir is the root.
	Dir string
	// Batch to go back to, or Newest.
	Batch int64
	// CopyTo is the directory of the new root, which must be empty or absent. Empty:
	// the root is taken back in place, and the caller has seen the containers of its
	// last driver and executors terminated.
	CopyTo string
	// As is where the query will find the new root; empty: at CopyTo.
	As string
	// Level up to which what is left, or the copy, is verified.
	Level int
	// TimesLost says that the root is a copy that did not keep the times of files. Else
	// state that is younger than the commit of its batch is taken for a second
	// driver's.
	TimesLost bool
	// Owner must be that of the place; nil: anybody.
	Owner *Owner
	// Settle is how long the root has to hold still before anything is moved.
	Settle time.Duration
	Now    func() time.Time
	Sleep  func(ctx context.Context, d time.Duration) error
	// Progress is told now and then how far a phase is; totals are 0 while they are
	// not known.
	Progress func(p Progress)
	hooks
}

// Progress of a run.
type Progress struct {
	Phase             string
	Files, TotalFiles int64
	Bytes, TotalBytes int64
}

// Phases.
const (
	PhaseVerify = "verify"
	PhaseMove   = "move"
	PhaseCopy   = "copy"
)

// Result of a run.
type Result struct {
	// Root that was taken back, and the one to go on with.
	Root   string `json:"root"`
	Target string `json:"target"`
	// Batch that the target is at, and the newest that was committed before.
	Batch int64 `json:"batch"`
	From  int64 `json:"from"`
	// InPlace tells a root that was taken back from a copy.
	InPlace bool `json:"inPlace"`
	// Unchanged: there was nothing to do.
	Unchanged bool `json:"unchanged,omitempty"`
	// Moved files and directories, or files that were copied.
	Moved  int64 `json:"moved,omitempty"`
	Copied int64 `json:"copied,omitempty"`
	// Trash is where they were moved, below the root.
	Trash string `json:"trash,omitempty"`
	// Rewritten files name the place of the new root instead of the old one.
	Rewritten []string `json:"rewritten,omitempty"`
	// Resumed says that an earlier run was completed.
	Resumed bool `json:"resumed,omitempty"`
	// Passed are newer batches that were passed over, with the reason.
	Passed []Passed `json:"passed,omitempty"`
	// OwnerRecord is the file beside the roots that now knows of the rewind; empty:
	// there is none.
	OwnerRecord string `json:"ownerRecord,omitempty"`
}

// Passed is a batch that was not chosen.
type Passed struct {
	Batch  int64  `json:"batch"`
	Reason string `json:"reason"`
}

// record marks work that is not complete; it is the content of guard.RewindName.
type record struct {
	FormatVersion int       `json:"formatVersion"`
	ID            string    `json:"id"`
	Batch         int64     `json:"batch"`
	From          int64     `json:"from"`
	Trash         string    `json:"trash,omitempty"`
	Source        string    `json:"source,omitempty"`
	StartedAt     time.Time `json:"startedAt"`
}

const recordFormat = 1

// Run takes the root back.
func (r *Rewind) Run(ctx context.Context) (*Result, error) {
	w := &work{Rewind: r}
	var err error
	if w.dir, err = realPath(r.Dir); err != nil {
		return nil, fmt.Errorf("find the root: %w", err)
	}
	w.result = Result{Root: w.dir, Target: w.dir, InPlace: r.CopyTo == ""}
	if err := w.open(w.dir); err != nil {
		return nil, err
	}
	defer w.close()
	if w.result.InPlace {
		err = w.inPlace(ctx)
	} else {
		err = w.byCopy(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &w.result, nil
}

// work is a run under way.
type work struct {
	*Rewind
	// dir is the root, root and src the two ways to reach it.
	dir  string
	root *disk
	src  *checkpoint.Dir
	// place is where the owner's record is.
	place  *place
	record *record
	// previous is the last rewind of the root.
	previous *guard.Rewound
	result   Result
}

func (w *work) open(dir string) error {
	root, err := openDisk(dir, w.hooks)
	if err != nil {
		return fmt.Errorf("open the root: %w", err)
	}
	src, err := checkpoint.OpenDir(dir)
	if err != nil {
		return errors.Join(err, root.close())
	}
	w.root, w.src = root, src
	return nil
}

func (w *work) close() { _ = errors.Join(w.root.close(), w.src.Close()) }

func (w *work) inPlace(ctx context.Context) error {
	if err := w.findPlace(); err != nil {
		return err
	}
	lock, err := takeLock(w.root, w.Now())
	if err != nil {
		return err
	}
	defer lock.close()
	if err := w.locked(ctx); err != nil {
		if w.record == nil {
			// Nothing was touched yet.
			err = errors.Join(err, lock.release())
		}
		return err
	}
	return lock.release()
}

func (w *work) locked(ctx context.Context) error {
	var err error
	if w.record, err = readRecord(w.root); err != nil {
		return err
	}
	if w.record != nil {
		if err := w.goOn(); err != nil {
			w.record = nil // It is another run's, and stays as it is.
			return err
		}
	}
	before, err := w.look(ctx)
	if err != nil {
		return err
	}
	p, err := w.plan(ctx)
	if err != nil || p == nil {
		return err
	}
	if w.record == nil && len(p.surplus) == 0 {
		w.result.Unchanged = true
		return nil
	}
	if err := w.settled(ctx, before); err != nil {
		return err
	}
	if w.record == nil {
		if err := w.begin(p); err != nil {
			return err
		}
	}
	w.result.Trash, w.result.From = w.record.Trash, w.record.From
	if err := w.move(ctx, p.surplus); err != nil {
		return err
	}
	return w.finish(ctx)
}

// goOn takes over what an earlier run has begun.
func (w *work) goOn() error {
	if w.record.Source != "" {
		return fmt.Errorf("%w: it is a copy of batch %d of %s that is not complete; complete it with --copy-to", ErrUnfinished, w.record.Batch, w.record.Source)
	}
	if w.Batch != Newest && w.Batch != w.record.Batch {
		return fmt.Errorf("%w: a rewind to batch %d has begun, and batch %d is asked for; complete it first, then go back further", ErrUnfinished, w.record.Batch, w.Batch)
	}
	w.Batch, w.result.Resumed = w.record.Batch, true
	return nil
}

// begin marks the root. From here on no guarded driver starts on it.
func (w *work) begin(p *plan) error {
	now := w.Now().UTC()
	r := &record{FormatVersion: recordFormat, ID: newID(), Batch: p.batch, From: w.result.From, StartedAt: now,
		Trash: trashName + "/" + now.Format("20060102T150405.000000000Z")}
	if err := w.root.replaceJSON(guard.RewindName, r); err != nil {
		return fmt.Errorf("mark the root: %w", err)
	}
	w.record = r
	return nil
}

// finish says that the root is where it was to go, in this order: what permits it, then
// who it belongs to, then that it is complete.
func (w *work) finish(ctx context.Context) error {
	if err := w.judge(ctx, w.src, checkpoint.LevelStructure, ""); err != nil {
		return fmt.Errorf("after the rewind: %w", err)
	}
	rewound := w.record.rewound()
	if err := w.root.replaceJSON(guard.RewoundName, rewound); err != nil {
		return fmt.Errorf("record the rewind: %w", err)
	}
	if err := w.place.record(rewound); err != nil {
		return err
	}
	w.result.OwnerRecord = w.place.file()
	err := w.root.mkdirAll(w.record.Trash)
	if err == nil {
		err = w.root.rename(guard.RewindName, w.record.Trash+"/rewind.json")
	}
	if err != nil {
		return fmt.Errorf("end the rewind: %w", err)
	}
	w.record = nil
	return nil
}

func (r *record) rewound() *guard.Rewound {
	return &guard.Rewound{FormatVersion: 1, ID: r.ID, From: r.From, To: r.Batch, At: r.StartedAt, Source: r.Source, Trash: r.Trash}
}

// readRecord reads what an earlier run left; nil: nothing.
func readRecord(d *disk) (*record, error) {
	data, err := d.read(guard.RewindName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", guard.RewindName, err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrUnfinished, guard.RewindName, err)
	}
	if r.FormatVersion != recordFormat {
		return nil, fmt.Errorf("%w: %s is of format %d; this version knows %d", ErrUnfinished, guard.RewindName, r.FormatVersion, recordFormat)
	}
	if r.Source == "" && (!fs.ValidPath(r.Trash) || filepath.Dir(r.Trash) != trashName) {
		return nil, fmt.Errorf("%w: %s says that things are moved to %.80q; allowed is a directory in %s", ErrUnfinished, guard.RewindName, r.Trash, trashName)
	}
	return &r, nil
}

func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

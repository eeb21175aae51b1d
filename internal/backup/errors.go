// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart; they come wrapped with what was being done.
var (
	// ErrOvertaken means that a file of the cut vanished or changed before it
	// was copied: retention or a rewind passed the batch. A newer cut helps.
	ErrOvertaken = errors.New("the cut was overtaken by the running query")
	// ErrNothing means that the cut holds no root or a root holds no file.
	ErrNothing = errors.New("there is nothing to back up")
	// ErrNested means that one query root lies in another.
	ErrNested = errors.New("nested query roots")
	// ErrNoPoint means that no recovery point fits what was asked for.
	ErrNoPoint = errors.New("no recovery point fits")
	// ErrNotEmpty means that the target of a restore holds other files.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrDamaged means that the store lacks what a point names, or holds other
	// bytes.
	ErrDamaged = errors.New("the recovery point is damaged")
	// ErrTooLong means that a run took longer than it may beside Prune.
	ErrTooLong = errors.New("the run took too long to still be safe")
	// ErrUnsafePath means that a list names a path that leads out of its root.
	ErrUnsafePath = errors.New("unsafe path")
)

// NewerFormatError is returned for what a newer version of the agent wrote.
type NewerFormatError struct {
	What         string
	Found, Known int
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("%s has format version %d, this agent knows versions up to %d: use the agent version that wrote it, or a newer one",
		e.What, e.Found, e.Known)
}

// TakenOverError is returned to a former owner of a prefix.
type TakenOverError struct {
	Prefix  string
	Mine    Holder
	Current OwnerRecord
}

func (e *TakenOverError) Error() string {
	return fmt.Sprintf("%s belongs to %s since epoch %d: %s may no longer write to it; stop this pipeline, or take the prefix over again on purpose",
		e.Prefix, e.Current.Holder, e.Current.Epoch, e.Mine)
}

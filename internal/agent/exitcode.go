// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
	"sparkpipeline.dev/operator/internal/rewind"
)

// Exit codes of every command. 40 to 59 belong to guard, 60 to 69 to snapshot.
const (
	CodeOK = 0
	// CodeFailed: the command could not do or could not judge what was asked.
	CodeFailed = 1
	// CodeFinding: it could, and found something wrong, such as damage.
	CodeFinding = 2
	// CodeUsage: the flags, the arguments or the configuration are wrong.
	CodeUsage = 3
	// CodeInterrupted: a signal stopped the command.
	CodeInterrupted = 4

	CodeMissingBucket = 10
	CodeWrongRegion   = 11
	// CodeCredentials: there are none, or the store does not accept them.
	CodeCredentials  = 12
	CodeExpiredToken = 13
	CodeClockSkew    = 14
	CodeAccessDenied = 15
	CodeUnreachable  = 16
	CodeCertificate  = 17
	// CodeStoreFault: the store throttles, fails or returns other bytes.
	CodeStoreFault = 18

	CodeNotCheckpoint = 20
	CodeEmptyRoot     = 21
	CodeNestedRoots   = 22
	// CodeOvertaken: the running query removed or changed what was being copied,
	// in every attempt.
	CodeOvertaken = 23
	CodeNoPoint   = 24
	// CodeNotEmpty: the target of a restore holds other files.
	CodeNotEmpty = 25
	// CodeNewerFormat: a newer version of the agent wrote this.
	CodeNewerFormat = 26
	// CodeTakenOver: the recovery points belong to another pipeline by now.
	CodeTakenOver = 27
	CodeTooLong   = 28
	// CodeNotRestorable: the root cannot be gone on with after that batch.
	CodeNotRestorable = 29
	// CodeLocked: somebody else works on the root.
	CodeLocked = 30
	// CodeNotQuiet: something writes to the root.
	CodeNotQuiet = 31
	// CodeUnfinished: other work on the root is to be completed first.
	CodeUnfinished = 32
	// CodeOlder: the root is an older copy.
	CodeOlder = 33
	// CodeTooSlow: a drill succeeded and took longer than its objective.
	CodeTooSlow = 34

	// CodeKafkaUnfit: what the query would read next is not at the brokers any more,
	// or the topic is another one.
	CodeKafkaUnfit       = 35
	CodeKafkaUnreachable = 36
	// CodeKafkaCredentials: the brokers do not accept credentials or certificates.
	CodeKafkaCredentials = 37
	// CodeKafkaNotAuthorized: the right Describe on a topic is missing.
	CodeKafkaNotAuthorized = 38

	CodeGuardFirst = 40
	CodeGuardLast  = 59
)

// Error is an error with the exit code that it ends the agent with.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// withCode gives an error an exit code; nil stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

var codeOfKind = map[objectstore.Kind]int{
	objectstore.KindMissingBucket:  CodeMissingBucket,
	objectstore.KindWrongRegion:    CodeWrongRegion,
	objectstore.KindNoCredentials:  CodeCredentials,
	objectstore.KindBadCredentials: CodeCredentials,
	objectstore.KindExpiredToken:   CodeExpiredToken,
	objectstore.KindClockSkew:      CodeClockSkew,
	objectstore.KindAccessDenied:   CodeAccessDenied,
	objectstore.KindNetwork:        CodeUnreachable,
	objectstore.KindCertificate:    CodeCertificate,
	objectstore.KindThrottled:      CodeStoreFault,
	objectstore.KindServer:         CodeStoreFault,
	objectstore.KindCorrupted:      CodeStoreFault,
	objectstore.KindCanceled:       CodeInterrupted,
}

var codeOfCause = []struct {
	cause error
	code  int
}{
	{backup.ErrNested, CodeNestedRoots},
	{backup.ErrNothing, CodeEmptyRoot},
	{backup.ErrNoPoint, CodeNoPoint},
	{backup.ErrNotEmpty, CodeNotEmpty},
	{backup.ErrTooLong, CodeTooLong},
	{backup.ErrUnsafePath, CodeFinding},
	{backup.ErrDamaged, CodeFinding},
	{rewind.ErrNotRestorable, CodeNotRestorable},
	{rewind.ErrLocked, CodeLocked},
	{rewind.ErrNotQuiet, CodeNotQuiet},
	{rewind.ErrUnfinished, CodeUnfinished},
	{rewind.ErrOlder, CodeOlder},
	{rewind.ErrOtherOwner, CodeTakenOver},
	{rewind.ErrTarget, CodeUsage},
	{context.Canceled, CodeInterrupted},
}

// CodeOf finds the exit code of an error. An explicit one, the outermost, comes
// first; otherwise the cause decides.
func CodeOf(err error) int {
	if err == nil {
		return CodeOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[*backup.TakenOverError](err); ok {
		return CodeTakenOver
	}
	if _, ok := errors.AsType[*backup.NewerFormatError](err); ok {
		return CodeNewerFormat
	}
	// A file that changes under the hands of a transfer breaks that too.
	if errors.Is(err, backup.ErrOvertaken) {
		return CodeOvertaken
	}
	if code, ok := codeOfKind[objectstore.KindOf(err)]; ok {
		return code
	}
	for _, known := range codeOfCause {
		if errors.Is(err, known.cause) {
			return known.code
		}
	}
	return CodeFailed
}

// SPDX-License-Identifier: Apache-2.0

// Package eventlog finds the event logs of Spark applications in a directory and
// moves those of finished applications into an object store.
//
// An application has a single file, <application>[_<attempt>][.<codec>], or with
// rolling logs, the default from Spark 4.0, a directory:
//
//	eventlog_v2_<application>/
//	    appstatus_<application>[.inprogress]
//	    events_<n>_<application>[.<codec>]
//
// While it runs, the single file or the appstatus ends with .inprogress. It
// replays only as a whole: files of an application are never moved one by one.
package eventlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	rollingPrefix = "eventlog_v2_"
	statusPrefix  = "appstatus_"
	inProgress    = ".inprogress"
	// removing marks a log that is archived and being removed. The history server
	// passes over names that begin with a dot.
	removing = ".sparkpipeline-archived-"
)

// singleName is the file of an application: ids of Kubernetes, YARN, standalone
// and local mode, with attempt and codec.
var singleName = regexp.MustCompile(`^(spark-|app-|application_|local-)[-0-9A-Za-z_]+(\.(zstd|lz4|lzf|snappy))?$`)

// Reasons for which a log stays where it is.
const (
	ReasonInProgress = "in progress"
	ReasonYoung      = "too young"
	ReasonUnknown    = "not an event log"
	ReasonIncomplete = "not complete"
)

// Log is the event log of one application, or what looks like one.
type Log struct {
	// Name of the file or the directory.
	Name string
	// Files below the directory of all logs, in ascending order.
	Files []File
	// Newest change of any of the files.
	Newest time.Time
	// Rolling logs are directories.
	Rolling bool
	// Reason for which it must stay; empty when the application has finished.
	Reason string
}

// Bytes of all files.
func (l *Log) Bytes() (sum int64) {
	for _, f := range l.Files {
		sum += f.Size
	}
	return sum
}

// File of a log.
type File struct {
	// Path below the directory of all logs, with slashes.
	Path    string
	Size    int64
	ModTime time.Time
}

// Scan lists the logs in a directory, in the order of their names. Checksum files
// of Hadoop and other names that begin with a dot are left out.
func Scan(dir *os.Root) ([]Log, error) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list the event logs: %w", err)
	}
	var logs []Log
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "lost+found" {
			continue
		}
		l, err := read(dir, e)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was renamed or cleaned since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("look at event log %s: %w", e.Name(), err)
		}
		logs = append(logs, l)
	}
	return logs, nil
}

func read(dir *os.Root, e fs.DirEntry) (Log, error) {
	switch {
	case e.IsDir() && strings.HasPrefix(e.Name(), rollingPrefix):
		return readRolling(dir, e.Name())
	case e.Type().IsRegular():
		return readSingle(dir, e.Name())
	default:
		return Log{Name: e.Name(), Reason: ReasonUnknown}, nil
	}
}

func readSingle(dir *os.Root, name string) (Log, error) {
	l := Log{Name: name}
	if err := l.add(dir, name); err != nil {
		return l, err
	}
	bare, running := strings.CutSuffix(name, inProgress)
	switch {
	case !singleName.MatchString(bare):
		l.Reason = ReasonUnknown
	case running:
		l.Reason = ReasonInProgress
	default:
		// A finished log beside one that is being written is of a run before.
		if _, err := dir.Lstat(name + inProgress); err == nil {
			l.Reason = ReasonInProgress
		}
	}
	return l, nil
}

func readRolling(dir *os.Root, name string) (Log, error) {
	l := Log{Name: name, Rolling: true}
	entries, err := fs.ReadDir(dir.FS(), name)
	if err != nil {
		return l, err
	}
	finished, events := false, false
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !e.Type().IsRegular() {
			l.Reason = ReasonUnknown
			continue
		}
		if strings.HasSuffix(e.Name(), inProgress) {
			l.Reason = ReasonInProgress
		}
		finished = finished || strings.HasPrefix(e.Name(), statusPrefix)
		events = events || strings.HasPrefix(e.Name(), "events_")
		if err := l.add(dir, path.Join(name, e.Name())); err != nil {
			return l, err
		}
	}
	if l.Reason == "" && !(finished && events) {
		l.Reason = ReasonIncomplete
	}
	slices.SortFunc(l.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return l, nil
}

func (l *Log) add(dir *os.Root, name string) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	l.Files = append(l.Files, File{name, info.Size(), info.ModTime()})
	if info.ModTime().After(l.Newest) {
		l.Newest = info.ModTime()
	}
	return nil
}

// Due tells why a log is not to be archived at a time, if only finished ones
// untouched for the given span are; empty: it is to be archived.
func (l *Log) Due(now time.Time, after time.Duration) string {
	if l.Reason == "" && now.Sub(l.Newest) < after {
		return ReasonYoung
	}
	return l.Reason
}

// unchanged tells whether a log is still the one that was scanned.
func (l *Log) unchanged(dir *os.Root) error {
	entry, err := dir.Lstat(l.Name)
	if err != nil {
		return err
	}
	now, err := read(dir, fs.FileInfoToDirEntry(entry))
	if err != nil {
		return err
	}
	same := now.Reason == l.Reason && slices.EqualFunc(now.Files, l.Files, func(a, b File) bool {
		return a.Path == b.Path && a.Size == b.Size && a.ModTime.Equal(b.ModTime)
	})
	if !same {
		return fmt.Errorf("event log %s changed while it was archived; it stays", l.Name)
	}
	return nil
}

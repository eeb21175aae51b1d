// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// parseLine reads a line of a list. Lists are long and read several times in a
// run, so lines as this package writes them are taken apart by hand; others, as
// somebody may have edited them, are any JSON.
func parseLine(line []byte) (*entry, error) {
	if e, ok := plainLine(line); ok {
		return e, nil
	}
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, fmt.Errorf("%w: file list: %w", ErrDamaged, err)
	}
	return &e, nil
}

// plainLine takes the fields in the order in which entry has them, without white
// space, escapes and characters outside of ASCII.
func plainLine(line []byte) (*entry, bool) {
	l := plainFields{rest: line, ok: true}
	e := &entry{}
	e.Path = l.text(`{"path":`)
	e.Size = l.number(`,"size":`)
	e.ModTime = l.number(`,"modTime":`)
	if l.has(`,"tag":`) {
		e.Tag = l.text(`,"tag":`)
	}
	e.SHA256 = l.text(`,"sha256":`)
	if l.has(`,"object":`) {
		e.Object = l.text(`,"object":`)
	}
	if l.has(`,"offset":`) {
		e.Offset = l.number(`,"offset":`)
	}
	return e, l.ok && string(l.rest) == "}"
}

type plainFields struct {
	rest []byte
	ok   bool
}

func (l *plainFields) has(key string) bool { return bytes.HasPrefix(l.rest, []byte(key)) }

func (l *plainFields) skip(key string) bool {
	l.ok = l.ok && l.has(key)
	if l.ok {
		l.rest = l.rest[len(key):]
	}
	return l.ok
}

func (l *plainFields) text(key string) string {
	if !l.skip(key) || !l.skip(`"`) {
		return ""
	}
	for i, c := range l.rest {
		if c == '"' {
			value := string(l.rest[:i])
			l.rest = l.rest[i+1:]
			return value
		}
		if c == '\\' || c < ' ' || c > '~' {
			break
		}
	}
	l.ok = false
	return ""
}

func (l *plainFields) number(key string) int64 {
	if !l.skip(key) {
		return 0
	}
	n := 0
	for n < len(l.rest) && (l.rest[n] >= '0' && l.rest[n] <= '9' || n == 0 && l.rest[n] == '-') {
		n++
	}
	digits := string(l.rest[:n])
	value, err := strconv.ParseInt(digits, 10, 64)
	l.ok = err == nil && strconv.FormatInt(value, 10) == digits
	l.rest = l.rest[n:]
	return value
}

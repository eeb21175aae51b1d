// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// ran is what a command line left.
type ran struct {
	code        int
	out, errOut string
	last        Termination
}

// runAgent runs a command line with a termination log, as in a pod.
func runAgent(t *testing.T, change func(*agent), args ...string) ran {
	t.Helper()
	return runAgentContext(t, t.Context(), change, args...)
}

func runAgentContext(t *testing.T, ctx context.Context, change func(*agent), args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	log := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a := newAgent(Environment{Out: &out, ErrOut: &errOut, Version: "v1.2.3", TerminationLog: log})
	if change != nil {
		change(a)
	}
	r := ran{code: a.execute(ctx, args)}
	r.out, r.errOut = out.String(), errOut.String()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxTermination {
		t.Errorf("the termination message has %d bytes", len(text))
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &r.last); err != nil {
			t.Errorf("termination message %s: %v", text, err)
		}
	}
	return r
}

func TestVersion(t *testing.T) {
	r := runAgent(t, nil, "version")
	if want := "agent v1.2.3 (" + runtime.Version() + ")\n"; r.code != 0 || r.out != want || r.errOut != "" {
		t.Errorf("code %d, printed %q and %q; want %q", r.code, r.out, r.errOut, want)
	}
	r = runAgent(t, nil, "version", "-o", "json")
	if want := fmt.Sprintf("{\n  \"version\": \"v1.2.3\",\n  \"go\": %q\n}\n", runtime.Version()); r.out != want {
		t.Errorf("printed %q, want %q", r.out, want)
	}
	if r.last.Command != "version" || r.last.Code != 0 || r.last.Error != "" {
		t.Errorf("termination message is %+v", r.last)
	}
}

func TestWrongUseHasItsOwnCode(t *testing.T) {
	for line, says := range map[string]string{
		"frobnicate":      `unknown command "frobnicate"`,
		"version --fast":  "unknown flag: --fast",
		"version extra":   `unknown command "extra"`,
		"version -o yaml": `--output is "yaml"; allowed are text and json`,
	} {
		t.Run(line, func(t *testing.T) {
			r := runAgent(t, nil, strings.Fields(line)...)
			if r.code != CodeUsage || !strings.Contains(r.errOut, says) || r.last.Code != CodeUsage {
				t.Errorf("code %d, message %q, termination %+v; want %d and %q", r.code, r.errOut, r.last, CodeUsage, says)
			}
		})
	}
}

func TestCodesTellCausesApart(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("any"), 1},
		{backup.ErrDamaged, 2},
		{usage("bad"), 3},
		{context.Canceled, 4},
		{&objectstore.Error{Kind: objectstore.KindMissingBucket, Err: io.EOF}, 10},
		{&objectstore.Error{Kind: objectstore.KindWrongRegion, Err: io.EOF}, 11},
		{&objectstore.Error{Kind: objectstore.KindBadCredentials, Err: io.EOF}, 12},
		{&objectstore.Error{Kind: objectstore.KindNoCredentials, Err: io.EOF}, 12},
		{&objectstore.Error{Kind: objectstore.KindExpiredToken, Err: io.EOF}, 13},
		{&objectstore.Error{Kind: objectstore.KindClockSkew, Err: io.EOF}, 14},
		{&objectstore.Error{Kind: objectstore.KindAccessDenied, Err: io.EOF}, 15},
		{&objectstore.Error{Kind: objectstore.KindNetwork, Err: io.EOF}, 16},
		{&objectstore.Error{Kind: objectstore.KindNotFound, Err: io.EOF}, 1},
		{backup.ErrNothing, 21},
		{backup.ErrNested, 22},
		{backup.ErrOvertaken, 23},
		{backup.ErrNoPoint, 24},
		{backup.ErrNotEmpty, 25},
		{&backup.NewerFormatError{}, 26},
		{&backup.TakenOverError{}, 27},
		{backup.ErrTooLong, 28},
	} {
		wrapped := test.err
		if wrapped != nil {
			wrapped = fmt.Errorf("back up: %w", test.err)
		}
		if got := CodeOf(wrapped); got != test.code {
			t.Errorf("code of %v is %d, want %d", test.err, got, test.code)
		}
	}
}

func TestTerminationMessageFits(t *testing.T) {
	long := strings.Repeat("ü\"", 5000)
	for title, last := range map[string]Termination{
		"long error":            {Command: "backup", Code: 1, Error: long, Result: map[string]int{"files": 1}},
		"long result":           {Command: "points", Result: []string{long}},
		"long result and error": {Command: "points", Code: 1, Error: "short", Result: []string{long}},
	} {
		t.Run(title, func(t *testing.T) {
			text, err := last.encode()
			var got Termination
			if err := errors.Join(err, json.Unmarshal(text, &got)); err != nil {
				t.Fatal(err)
			}
			if len(text) > 4096 || !got.Shortened || got.Command != last.Command || got.Code != last.Code {
				t.Errorf("%d bytes: %.80s", len(text), text)
			}
			if last.Error != "" && !strings.HasPrefix(last.Error, got.Error) || (got.Error == "") != (last.Error == "") {
				t.Errorf("error is %.40q, of %.40q", got.Error, last.Error)
			}
		})
	}
}

func TestTerminationLogIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := writeTermination(path, Termination{Command: "version"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("outside of a pod there is a termination log: %v", err)
	}
}

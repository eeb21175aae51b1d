// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// terminationLog is where the kubelet reads a container's last words by default.
const terminationLog = "/dev/termination-log"

// maxTermination is the limit of a termination message in bytes; the kubelet
// keeps its end, which would be no JSON any more.
const maxTermination = 4096

// Termination is the last word of a command, in a pod's termination message.
type Termination struct {
	Command string `json:"command"`
	// Code is the exit code.
	Code int `json:"code"`
	// Error is empty when Code is 0.
	Error string `json:"error,omitempty"`
	// Result is what the command prints with -o json; absent when it is too long.
	Result any `json:"result,omitempty"`
	// Shortened tells that a part did not fit.
	Shortened bool `json:"shortened,omitempty"`
}

// encode returns JSON of at most maxTermination bytes.
func (t Termination) encode() ([]byte, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("write the termination message: %w", err)
	}
	if len(text) <= maxTermination {
		return text, nil
	}
	t.Shortened = true
	if t.Error == "" || len(t.Error) < maxTermination/2 {
		t.Result = nil
	}
	for limit := maxTermination / 2; limit > 0; limit /= 2 {
		if text, err = json.Marshal(t); err != nil || len(text) <= maxTermination {
			return text, err
		}
		t.Result, t.Error = nil, cut(t.Error, limit)
	}
	return json.Marshal(Termination{Command: t.Command, Code: t.Code, Shortened: true})
}

// cut shortens a text to at most limit bytes of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// writeTermination writes to an existing file only: outside of a pod there is
// none. The kubelet mounts it, so it cannot be replaced by a rename.
func writeTermination(path string, t Termination) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the termination message: %w", err)
	}
	text, err := t.encode()
	if err == nil {
		_, err = file.Write(text)
	}
	return errors.Join(err, file.Close())
}

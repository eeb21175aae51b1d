// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Input is a directory of files that a query counts.
type Input struct {
	Dir   string
	files int
	total map[string][2]int
}

// NewInput makes an empty directory.
func NewInput(dir string) (*Input, error) {
	return &Input{Dir: dir, total: map[string][2]int{}}, os.MkdirAll(dir, 0o755)
}

// Add writes files. Each has one key that no other file has, so that what is lost is
// not healed by a later batch, and one that every seventh has.
func (in *Input) Add(files int) error {
	for range files {
		var text strings.Builder
		for key, value := range map[string]int{fmt.Sprintf("once%03d", in.files): in.files, fmt.Sprintf("seldom%d", in.files%7): 1} {
			fmt.Fprintf(&text, `{"key":%q,"value":%d}`+"\n", key, value)
			was := in.total[key]
			in.total[key] = [2]int{was[0] + 1, was[1] + value}
		}
		name := fmt.Sprintf("%05d.json", in.files)
		// Spark passes over names with a dot in front: a file appears whole.
		hidden := filepath.Join(in.Dir, "."+name)
		if err := os.WriteFile(hidden, []byte(text.String()), 0o644); err != nil {
			return fmt.Errorf("write input: %w", err)
		}
		if err := os.Rename(hidden, filepath.Join(in.Dir, name)); err != nil {
			return fmt.Errorf("write input: %w", err)
		}
		in.files++
	}
	return nil
}

// State is what a query must have counted, as CountFiles prints it.
func (in *Input) State() string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(in.total)) {
		out = append(out, fmt.Sprintf("%s=%d/%d", key, in.total[key][0], in.total[key][1]))
	}
	return strings.Join(out, " ")
}

// Difference says in short how two states differ; "" when they do not.
func Difference(want, got string) string {
	if want == got {
		return ""
	}
	wanted, found := strings.Fields(want), strings.Fields(got)
	var wrong []string
	for _, entry := range wanted {
		if !slices.Contains(found, entry) {
			wrong = append(wrong, entry)
		}
	}
	return fmt.Sprintf("%d of %d keys are not as in the input, such as %s", len(wrong), len(wanted), strings.Join(wrong[:min(3, len(wrong))], ", "))
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// Forms of a result.
const (
	outputText = "text"
	outputJSON = "json"
)

func (a *agent) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.output, "output", "o", outputText, "form of the result: text or json")
}

func (a *agent) checkOutput(cmd *cobra.Command) error {
	if cmd.Flags().Lookup("output") == nil || a.output == outputText || a.output == outputJSON {
		return nil
	}
	return fmt.Errorf("--output is %q; allowed are text and json", a.output)
}

// print shows the result of a command and keeps it for the termination message.
func (a *agent) print(result any, text func(io.Writer)) error {
	a.result = result
	if a.output != outputJSON {
		w := tabwriter.NewWriter(a.env.Out, 0, 0, 2, ' ', 0)
		text(w)
		return w.Flush()
	}
	encoder := json.NewEncoder(a.env.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// size is a number of bytes for people.
func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// instant is a time for people.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

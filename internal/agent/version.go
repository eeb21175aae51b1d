// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

type versionResult struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

func (a *agent) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: a.run(func(context.Context, []string) error {
			v := versionResult{a.env.Version, runtime.Version()}
			return a.print(v, func(w io.Writer) { fmt.Fprintf(w, "agent %s (%s)\n", v.Version, v.Go) })
		}),
	}
	a.outputFlag(cmd)
	return cmd
}

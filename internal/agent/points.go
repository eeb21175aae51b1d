// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/backup"
)

// States of a recovery point.
const (
	pointVerified   = "Verified"
	pointUnverified = "Unverified"
	pointDamaged    = "Damaged"
	pointUnreadable = "Unreadable"
)

type pointsResult struct {
	// Place is bucket and prefix.
	Place string              `json:"place"`
	Owner *backup.OwnerRecord `json:"owner,omitempty"`
	// NewestVerified is the id of the point that a restore takes by itself.
	NewestVerified string      `json:"newestVerified,omitempty"`
	Points         []pointInfo `json:"points"`
}

// pointInfo is one recovery point. Fields of the manifest are absent when it
// cannot be read.
type pointInfo struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// Problem says why the point is damaged or unreadable.
	Problem     string     `json:"problem,omitempty"`
	Written     time.Time  `json:"written"`
	StartedAt   time.Time  `json:"startedAt,omitzero"`
	CompletedAt time.Time  `json:"completedAt,omitzero"`
	VerifiedAt  time.Time  `json:"verifiedAt,omitzero"`
	Epoch       int64      `json:"epoch,omitempty"`
	Base        string     `json:"base,omitempty"`
	Files       int64      `json:"files"`
	Bytes       int64      `json:"bytes"`
	SentFiles   int64      `json:"sentFiles"`
	SentBytes   int64      `json:"sentBytes"`
	Roots       []rootInfo `json:"roots,omitempty"`
}

type rootInfo struct {
	backup.RootInfo
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

type pointsCommand struct {
	*agent
	where repositoryFlags
}

func (a *agent) pointsCommand() *cobra.Command {
	c := &pointsCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "points",
		Short: "List the recovery points, oldest first",
		Args:  cobra.NoArgs,
		RunE:  a.run(c.run),
	}
	c.where.add(cmd.Flags())
	a.outputFlag(cmd)
	return cmd
}

func (c *pointsCommand) run(ctx context.Context, _ []string) error {
	repo, err := c.repository(ctx, &c.where, nil)
	if err != nil {
		return err
	}
	owner, err := repo.Owner(ctx)
	if err != nil {
		return err
	}
	points, err := repo.Points(ctx)
	if err != nil {
		return err
	}
	result := pointsResult{Place: repo.place, Points: []pointInfo{}}
	if owner.Epoch > 0 {
		result.Owner = &owner
	}
	for _, p := range points {
		if p.Verified() {
			result.NewestVerified = p.ID
		}
		result.Points = append(result.Points, describe(&p))
	}
	return c.print(result, result.text)
}

func describe(p *backup.Point) pointInfo {
	info := pointInfo{ID: p.ID, Written: p.Written, State: pointUnverified}
	if p.Manifest == nil {
		info.State = pointUnreadable
		if p.Err != nil {
			info.Problem = p.Err.Error()
		}
		return info
	}
	if v := p.Verification; v != nil {
		info.State, info.VerifiedAt = pointVerified, v.At
		if !v.Healthy {
			info.State, info.Problem = pointDamaged, strings.Join(v.Problems, "; ")
		}
	}
	m := p.Manifest
	info.StartedAt, info.CompletedAt, info.Epoch, info.Base = m.StartedAt, m.CompletedAt, m.Epoch, m.Base
	info.Files, info.Bytes, info.SentFiles, info.SentBytes = m.Files, m.Bytes, m.SentFiles, m.SentBytes
	info.Roots = rootsOf(m)
	return info
}

func rootsOf(m *backup.Manifest) []rootInfo {
	var roots []rootInfo
	for _, r := range m.Roots {
		roots = append(roots, rootInfo{r.RootInfo, r.Files, r.Bytes})
	}
	return roots
}

// batches names the batch of each root, of the first few.
func batches(roots []rootInfo) string {
	const most = 4
	var out []string
	for i, r := range roots {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(roots)-most))
			break
		}
		out = append(out, fmt.Sprintf("%s=%d", r.Root, r.Batch))
	}
	return strings.Join(out, " ")
}

func (r pointsResult) text(w io.Writer) {
	if len(r.Points) == 0 {
		fmt.Fprintf(w, "There is no recovery point below %s.\n", r.Place)
		return
	}
	fmt.Fprintln(w, "POINT\tSTARTED\tSTATE\tBATCHES\tFILES\tSIZE\tSENT\tPROBLEM")
	for _, p := range r.Points {
		if p.State == pointUnreadable {
			fmt.Fprintf(w, "%s\t\t%s\t\t\t\t\t%s\n", p.ID, p.State, p.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", p.ID, instant(p.StartedAt), p.State, batches(p.Roots),
			p.Files, size(p.Bytes), size(p.SentBytes), p.Problem)
	}
}

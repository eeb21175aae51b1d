// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
)

// drillResult is what a drill measured. Times are in seconds.
type drillResult struct {
	Place string `json:"place"`
	Point string `json:"point"`
	// AgeSeconds of the point when the drill began: what a loss at that moment would
	// have cost.
	AgeSeconds float64 `json:"ageSeconds"`
	// Batches that the point goes on after, by query root.
	Batches map[string]int64 `json:"batches"`
	Files   int64            `json:"files"`
	Bytes   int64            `json:"bytes"`
	// RestoreSeconds until every byte was on disk and compared with its hash,
	// VerifySeconds for the judgement of the roots after that, up to Level.
	RestoreSeconds float64 `json:"restoreSeconds"`
	VerifySeconds  float64 `json:"verifySeconds"`
	TotalSeconds   float64 `json:"totalSeconds"`
	BytesPerSecond int64   `json:"bytesPerSecond"`
	Level          int     `json:"level"`
	// ObjectiveSeconds is what TotalSeconds is held against; absent: nothing.
	ObjectiveSeconds float64 `json:"objectiveSeconds,omitempty"`
}

type drillCommand struct {
	restoreCommand
	scratch   string
	objective time.Duration
	keep      bool
	now       func() time.Time
}

func (a *agent) drillCommand() *cobra.Command {
	c := &drillCommand{restoreCommand: restoreCommand{agent: a}, now: time.Now}
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Restore the newest point to a scratch directory, verify it, and measure",
		Long: `Restore the newest whole recovery point to a new directory in the scratch directory,
verify it as if it stood where the checkpoint is, say how long that took and of how
much, and remove it again. The checkpoint itself is neither read nor written.

Exit code: 34 when it succeeded and took longer than --objective; otherwise those of
restore.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	c.where.add(flags)
	flags.StringVar(&c.scratch, "scratch", "/scratch", "directory to work in, with room for a whole point")
	flags.StringVar(&c.point, "point", "", "id of the point (default the newest whole one)")
	flags.StringVar(&c.as, "as", "", "absolute path or URI at which queries find the checkpoint (default the configuration's)")
	flags.IntVar(&c.level, "level", checkpoint.LevelChecksums, "highest level of verification, 1 to 6")
	flags.DurationVar(&c.objective, "objective", 0, "how long a restore may take (default any time)")
	flags.BoolVar(&c.keep, "keep", false, "leave what was restored")
	a.outputFlag(cmd)
	return cmd
}

func (c *drillCommand) run(ctx context.Context, _ []string) (err error) {
	if err := checkLevel(c.level); err != nil {
		return err
	}
	if err := c.checkPlace(); err != nil {
		return err
	}
	if c.objective < 0 {
		return usage("--objective is %s; allowed is more than 0, such as 30m", c.objective)
	}
	p := c.newProgress()
	defer p.done()
	began := c.now()
	repo, err := c.repository(ctx, &c.where, p.report)
	if err != nil {
		return err
	}
	if err := c.apart(repo.config); err != nil {
		return err
	}
	point, err := c.newest(ctx, repo)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.scratch, "drill-")
	if err != nil {
		return fmt.Errorf("make a directory in --scratch: %w", err)
	}
	defer func() {
		if !c.keep {
			err = join(err, os.RemoveAll(dir))
		}
	}()
	var restored time.Time
	target := directory{dir}
	judge := &rootJudge{target: target, progress: p, kafka: &brokers{}, begun: func() { restored = c.now() }}
	result, err := c.bring(ctx, repo, target, point.ID, judge)
	if err != nil {
		return err
	}
	p.done()
	return c.conclude(repo.place, point, result.Record, began, restored)
}

// conclude measures. The time runs from the start of the command, since finding the
// point is a part of every restore.
func (c *drillCommand) conclude(place string, point *backup.Point, record *backup.RestoreRecord, began, restored time.Time) error {
	ended := c.now()
	r := drillResult{
		Place: place, Point: point.ID, AgeSeconds: began.Sub(point.Manifest.StartedAt).Seconds(), Batches: map[string]int64{},
		Files: record.Files, Bytes: record.Bytes, Level: c.level,
		RestoreSeconds: restored.Sub(began).Seconds(), VerifySeconds: ended.Sub(restored).Seconds(), TotalSeconds: ended.Sub(began).Seconds(),
		ObjectiveSeconds: c.objective.Seconds(),
	}
	for _, root := range record.Roots {
		r.Batches[root.Root] = root.Batch
	}
	if r.RestoreSeconds > 0 {
		r.BytesPerSecond = int64(float64(r.Bytes) / r.RestoreSeconds)
	}
	var slow error
	if took := ended.Sub(began); c.objective > 0 && took > c.objective {
		slow = withCode(CodeTooSlow, fmt.Errorf("the point is sound, but bringing it back took %s and the objective is %s: give the agent more CPU and a faster volume, or state another objective", took.Round(time.Second), c.objective))
	}
	return join(slow, c.print(r, r.text))
}

// newest is the point that a restore would take now.
func (c *drillCommand) newest(ctx context.Context, repo *repository) (*backup.Point, error) {
	points, err := repo.Points(ctx)
	if err != nil {
		return nil, err
	}
	if c.point == "" {
		point, err := backup.Select(points, backup.Selector{})
		if err != nil {
			return nil, fmt.Errorf("choose a point of %s: %w", repo.place, err)
		}
		return point, nil
	}
	i := slices.IndexFunc(points, func(p backup.Point) bool { return p.ID == c.point && p.Manifest != nil })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s is not among the points of %s that can be read", backup.ErrNoPoint, c.point, repo.place)
	}
	return &points[i], nil
}

// apart refuses a scratch directory that is in the checkpoint, or holds it, and finds
// out as what the point is to be judged.
func (c *drillCommand) apart(conf *config.Config) error {
	scratch, err := realPath(c.scratch)
	if err != nil {
		return usage("--scratch %q: %w; give a directory with room for a whole point", c.scratch, err)
	}
	if conf == nil {
		return nil
	}
	c.as = first(c.as, conf.Root)
	if strings.Contains(conf.Root, "://") {
		return nil
	}
	root, err := realPath(conf.Root)
	if errors.Is(err, os.ErrNotExist) {
		return nil // As it should be: a drill's pod does not mount the claim.
	}
	if err != nil {
		return fmt.Errorf("look where the checkpoint is: %w", err)
	}
	if inside(scratch, root) || inside(root, scratch) {
		return usage("--scratch is %q and the checkpoint is at %q; a drill works apart from the checkpoint", c.scratch, conf.Root)
	}
	return nil
}

// realPath is a directory's absolute path without links.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// inside says whether a path is the directory or lies in it.
func inside(path, dir string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(relative)
}

func (r drillResult) text(w io.Writer) {
	fmt.Fprintf(w, "Point %s of %s comes back: %d files, %s.\n", r.Point, r.Place, r.Files, size(r.Bytes))
	fmt.Fprintf(w, "Restored in %.1f s (%s/s), verified up to level %d in %.1f s; %.1f s in all.\n", r.RestoreSeconds, size(r.BytesPerSecond), r.Level, r.VerifySeconds, r.TotalSeconds)
	fmt.Fprintf(w, "The point was %s old.\n", (time.Duration(r.AgeSeconds) * time.Second))
	fmt.Fprintln(w, "ROOT\tBATCH")
	for _, root := range slices.Sorted(maps.Keys(r.Batches)) {
		fmt.Fprintf(w, "%s\t%d\n", root, r.Batches[root])
	}
}

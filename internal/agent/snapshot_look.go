// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/snapshot"
)

// liveLook judges the live roots of which a snapshot is to be taken.
type liveLook struct {
	at directory
	// declared roots; empty: they are discovered.
	declared []string
	// without are roots that may be lost.
	without  []string
	level    int
	progress *progress

	// files of the restorable set of each root, as they were before the cut.
	files map[string][]checkpoint.Entry
	// absent roots have nothing to go on with yet, with the reason.
	absent map[string]string
}

// lookAttempts is how often a root is looked at anew whose retention passes by.
const lookAttempts = 5

// look is a snapshot.Taker.Look.
func (l *liveLook) look(ctx context.Context, before []snapshot.Root) (*snapshot.Look, error) {
	roots := l.declared
	if len(roots) == 0 {
		var err error
		if roots, err = discover(ctx, l.at); err != nil {
			return nil, err
		}
	}
	l.files, l.absent = map[string][]checkpoint.Entry{}, map[string]string{}
	out := &snapshot.Look{Level: l.level, Held: l.held}
	var problems []string
	for _, name := range roots {
		root, problem, err := l.root(ctx, path.Clean(name))
		if reason := absence(err); reason != "" {
			l.absent[path.Clean(name)] = reason
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("query root %s: %w", l.at.place(name), err)
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("query root %s: %s", name, problem))
		}
		out.Roots = append(out.Roots, root)
	}
	slices.SortFunc(out.Roots, func(a, b snapshot.Root) int { return strings.Compare(a.Root, b.Root) })
	problems = append(problems, l.lost(before, out.Roots)...)
	if len(out.Roots) == 0 && len(problems) == 0 {
		for root, reason := range l.absent {
			return nil, fmt.Errorf("query root %s: %s: %w", l.at.place(root), reason, backup.ErrNothing)
		}
		return nil, backup.ErrNothing
	}
	out.Problem = strings.Join(problems, "; ")
	return out, nil
}

// root finds the newest batch of a root that can be gone on with, and judges the root.
// The batch is chosen first, so the judgement is about it too.
func (l *liveLook) root(ctx context.Context, name string) (root snapshot.Root, problem string, err error) {
	dir, err := checkpoint.OpenDir(l.at.place(name))
	if err != nil {
		return root, "", err
	}
	defer dir.Close()
	for attempt := 1; ; attempt++ {
		root, problem, err = l.judge(ctx, dir, name)
		if attempt < lookAttempts && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, backup.ErrOvertaken)) {
			continue
		}
		return root, problem, err
	}
}

func (l *liveLook) judge(ctx context.Context, dir *checkpoint.Dir, name string) (snapshot.Root, string, error) {
	root := snapshot.Root{Root: name, Batch: -1}
	opened, err := checkpoint.Open(ctx, dir)
	if err != nil {
		return root, "", err
	}
	if _, ok := opened.LastCommit(); !ok {
		return root, "", errNothingCommitted
	}
	selected, _, selectErr := opened.SelectNewest(ctx)
	if selectErr != nil && !errors.Is(selectErr, checkpoint.ErrNothingRestorable) {
		return root, "", selectErr
	}
	report, err := checkpoint.Verify(ctx, dir, l.options(name))
	if err != nil {
		return root, "", err
	}
	root.Healthy, root.Provider = report.Healthy, report.Provider.String()
	if selectErr != nil {
		return root, selectErr.Error(), nil
	}
	if !slices.Contains(report.RestorableBatches, selected.Batch) {
		if !report.Healthy {
			return root, "it is damaged: " + worst(report.Findings), nil
		}
		return root, "", fmt.Errorf("%w: batch %d was removed while it was judged", backup.ErrOvertaken, selected.Batch)
	}
	root.Batch, root.QueryID, root.Provider = selected.Batch, selected.QueryID, selected.Provider.String()
	root.Files = len(selected.Files)
	for _, f := range selected.Files {
		root.Bytes += f.Size
	}
	l.files[name] = selected.Files
	if !report.Healthy {
		return root, "it is damaged: " + worst(report.Findings), nil
	}
	return root, "", nil
}

func (l *liveLook) options(name string) checkpoint.Options {
	return checkpoint.Options{Level: l.level, Place: l.at.place(name), Progress: func(files int, bytes int64) {
		l.progress.report(backup.Progress{Phase: backup.Phase(snapshot.StageJudge), Root: name, Files: int64(files), Bytes: bytes})
	}}
}

// lost names what the newest verified snapshot has and the next one would not: it
// would take that one's place and keep nothing of it.
func (l *liveLook) lost(before, now []snapshot.Root) []string {
	stateless := checkpoint.ProviderNone.String()
	var out []string
	for _, b := range before {
		if slices.Contains(l.without, b.Root) || len(l.declared) > 0 && !slices.Contains(l.declared, b.Root) {
			continue
		}
		i := slices.IndexFunc(now, func(n snapshot.Root) bool { return n.Root == b.Root })
		why := ""
		switch {
		case i < 0:
			why = first(l.absent[b.Root], "it was not found")
		case now[i].QueryID == b.QueryID && now[i].Provider == stateless && b.Provider != stateless:
			why = "its state is gone"
		}
		if why != "" {
			out = append(out, fmt.Sprintf("query root %s is in the newest verified snapshot, but now %s: restore it, or let it go with --without %s", b.Root, why, b.Root))
		}
	}
	return out
}

// held is a snapshot.Look.Held. Files of a batch that are there as they were have
// been there in between; nothing else is said of them.
func (l *liveLook) held(ctx context.Context) (string, error) {
	for name, files := range l.files {
		dir, err := os.OpenRoot(l.at.place(name))
		if err != nil {
			return "", fmt.Errorf("query root %s: %w", name, err)
		}
		changed, err := changedFile(ctx, dir, files)
		_ = dir.Close()
		if err != nil {
			return "", fmt.Errorf("query root %s: %w", name, err)
		}
		if changed != "" {
			return fmt.Sprintf("query root %s: %s while the snapshot was made", name, changed), nil
		}
	}
	return "", nil
}

// changedFile names a file that is not as it was.
func changedFile(ctx context.Context, dir *os.Root, files []checkpoint.Entry) (string, error) {
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		info, err := dir.Lstat(filepath.FromSlash(f.Path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return f.Path + " was removed", nil
		case err != nil:
			return "", err
		case info.Size() != f.Size || !info.ModTime().Equal(f.ModTime):
			return f.Path + " was written again", nil
		}
	}
	return "", nil
}

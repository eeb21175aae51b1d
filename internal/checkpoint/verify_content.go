// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// readers at once. More help only on a network file system, and would starve the
// job beside it there.
const readers = 8

// content judges levels 5 and 6: what is in the files.
type content struct {
	*judge
	mu sync.Mutex
	// upgraded: a version after 4.1 has written to the root, which leaves Spark's
	// checksums of 4.1 beside files that it writes again.
	upgraded bool
	codec    string
	// newest state version that a committed batch needs.
	newest int64
	// doneFiles and doneBytes were judged.
	doneFiles int
	doneBytes int64
}

func (j *judge) content(ctx context.Context) error {
	c := &content{judge: j}
	if err := c.settings(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	if j.commits.any {
		c.newest = j.commits.max + 1
	}
	for s := range j.stores() {
		for _, f := range s.files {
			// Files of batches that are not committed may still change.
			if f.version <= c.newest {
				group.Go(func() error { return c.stateFile(ctx, s, f) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if j.o.Level < LevelChecksums {
		return nil
	}
	// Which shared files count is known only now.
	group, ctx = errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for p := range j.files {
		if _, ok := j.files[hiddenCompanion(p)]; ok && c.isPlain(p) {
			group.Go(func() error { return c.plainFile(ctx, p) })
		}
	}
	return group.Wait()
}

func (c *content) settings(ctx context.Context) error {
	for _, n := range c.offsets.numbers {
		o, err := c.offset(ctx, n)
		if isFormat(err) || isGone(err) {
			continue
		}
		if err != nil {
			return doing("read "+c.offsets.path(n), err)
		}
		if _, ok := o.conf["spark.sql.streaming.stateStore.rowChecksum.enabled"]; ok {
			c.upgraded = true
		}
		if codec, ok := o.conf[confCodec]; ok {
			c.codec = codec
		}
	}
	return nil
}

// report adds a finding in a state file or something beside it: an error if the
// newest committed batch needs it, else a warning. Restorable sets with any of the
// damaged files do not count.
func (c *content) report(level int, kind string, needed bool, at string, damaged []string, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range damaged {
		c.damaged[p] = true
	}
	severity := SeverityWarning
	if needed {
		severity = SeverityError
	}
	c.add(level, severity, kind, at, format, args...)
}

func (c *content) progress(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doneFiles++
	c.doneBytes += bytes
	if c.o.Progress != nil {
		c.o.Progress(c.doneFiles, c.doneBytes)
	}
}

// vanished says that a file may be passed over because it went away: retention
// removes what the newest batch does not need.
func (c *content) vanished(err error, at string) bool { return isGone(err) && !c.needs(at) }

// needs says whether the newest committed batch needs a file.
func (c *content) needs(at string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.needed[at]
}

func (c *content) stateFile(ctx context.Context, s *stateStore, f stateFile) error {
	if f.Size == 0 {
		return nil // told on level 1
	}
	defer c.progress(f.Size)
	needed := c.needs(f.Path)
	if f.kind == "zip" {
		return c.zipFile(ctx, s, f, needed)
	}
	if c.o.Level >= LevelChecksums {
		bad, err := c.mismatch(ctx, f.Path, f.id == "")
		if err != nil || bad != "" {
			if bad != "" {
				c.report(LevelChecksums, KindChecksumMismatch, needed, f.Path, []string{f.Path}, "%s", bad)
			}
			return err
		}
	}
	body, err := c.src.Open(ctx, f.Path)
	if c.vanished(err, f.Path) {
		return nil
	}
	if err != nil {
		return doing("read "+f.Path, err)
	}
	defer body.Close()
	_, err = records(f.kind, c.codec, body)
	if errors.Is(err, errUnknownCodec) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.add(LevelContent, SeverityInfo, KindNotJudged, f.Path, "its records were not judged: it is %s, %q", err.Error(), clip(c.codec))
		return nil
	}
	if bad, ok := errors.AsType[*formatError](err); ok {
		c.report(LevelContent, KindStateFileCorrupt, needed, f.Path, []string{f.Path}, "%s", bad.problem)
		return nil
	}
	return doing("read "+f.Path, err)
}

func (c *content) zipFile(ctx context.Context, s *stateStore, f stateFile, needed bool) error {
	z, err := openZip(ctx, c.src, s.dir, f.Entry, true)
	if c.vanished(err, f.Path) {
		return nil
	}
	if bad, ok := errors.AsType[*formatError](err); ok {
		c.report(LevelContent, KindZipCorrupt, needed, f.Path, []string{f.Path}, "%s", bad.problem)
		return nil
	}
	if err != nil {
		return doing("read "+f.Path, err)
	}
	c.mu.Lock()
	c.sharedOf[f.Path] = slices.Collect(maps.Keys(z.shared))
	c.mu.Unlock()
	for p, size := range z.shared {
		e, ok := c.files[p]
		switch {
		case !ok:
			at := p
			if !c.dirs[path.Dir(p)] {
				at = path.Dir(p)
			}
			c.report(LevelContent, KindSSTMissing, needed, at, []string{f.Path}, "is missing, though %s names %s", path.Base(f.Path), path.Base(p))
		case e.Size != size:
			c.report(LevelContent, KindSSTSize, needed, p, []string{f.Path, p}, "has %d bytes, and %s says %d", e.Size, path.Base(f.Path), size)
		}
		if needed {
			c.mu.Lock()
			c.needed[p] = true
			c.mu.Unlock()
		}
	}
	if c.o.Level < LevelChecksums {
		return nil
	}
	bad, err := c.mismatch(ctx, f.Path, f.id == "")
	if bad != "" {
		c.report(LevelChecksums, KindChecksumMismatch, needed, f.Path, []string{f.Path}, "%s", bad)
	}
	return err
}

// mismatch compares a state file with its companions, and says how it differs.
func (c *content) mismatch(ctx context.Context, at string, withoutID bool) (string, error) {
	if _, ok := c.files[hiddenCompanion(at)]; ok {
		same, err := matchesHidden(ctx, c.src, at)
		if err != nil && !c.vanished(err, at) {
			return "", doing("compare "+at+" with its checksums", err)
		}
		if err == nil && !same {
			return "does not match its checksums in " + path.Base(hiddenCompanion(at)), nil
		}
	}
	if _, ok := c.files[at+".crc"]; !ok {
		return "", nil
	}
	same, err := matchesSpark(ctx, c.src, at)
	if err != nil && !c.vanished(err, at) {
		return "", doing("compare "+at+" with its checksum", err)
	}
	if err != nil || same {
		return "", nil
	}
	if c.upgraded && withoutID {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.add(LevelChecksums, SeverityInfo, KindChecksumMismatch, at, "does not match %s.crc, which Spark 4.1 wrote; later versions, one of which has run since, leave it beside what they write again", path.Base(at))
		return "", nil
	}
	return "does not match its checksum in " + path.Base(at) + ".crc", nil
}

// isPlain tells the files that plainFile judges: not the state files, which have
// been judged, and not companions.
func (c *content) isPlain(p string) bool {
	return !isCompanion(p) && !stateName.MatchString(path.Base(p))
}

// plainFile compares a file with Hadoop's checksums. Spark does not look at those
// of its logs, so a flipped bit there would go unnoticed.
func (c *content) plainFile(ctx context.Context, p string) error {
	e := c.files[p]
	defer c.progress(e.Size)
	if e.Size == 0 {
		return nil
	}
	same, err := matchesHidden(ctx, c.src, p)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return doing("compare "+p+" with its checksums", err)
	}
	if same {
		return nil
	}
	needed := path.Base(path.Dir(p)) != "SSTs" && path.Base(path.Dir(p)) != "logs" || c.needs(p)
	damaged := []string{p}
	if top(p) == "sources" {
		c.mu.Lock()
		c.spoiled = true
		c.mu.Unlock()
	}
	c.report(LevelChecksums, KindChecksumMismatch, needed, p, damaged, "does not match its checksums in %s", path.Base(hiddenCompanion(p)))
	return nil
}

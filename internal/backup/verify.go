// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Verification is what was found when a point was looked at.
type Verification struct {
	FormatVersion int    `json:"formatVersion"`
	Point         string `json:"point"`
	// ManifestSHA256 ties the verification to the bytes of the manifest.
	ManifestSHA256 string    `json:"manifestSHA256"`
	At             time.Time `json:"at"`
	// Content tells whether every byte was read; otherwise lists were read and
	// objects were looked for.
	Content bool  `json:"content"`
	Healthy bool  `json:"healthy"`
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	// Problems holds the first ones; Damaged counts all.
	Problems []string `json:"problems,omitempty"`
	Damaged  int64    `json:"damaged"`
}

// maxProblems bounds what a verification records.
const maxProblems = 20

// VerifyOptions of one verification.
type VerifyOptions struct {
	// Content reads every byte of the point and compares its hash.
	Content bool
	// ReadOnly leaves no record in the store.
	ReadOnly bool
}

// Verify reads a point back: its manifest, its lists with their hashes, and
// whether every object that a list names is in the store and long enough. The
// store checked each object's hash when it was written; Content checks it again.
// It records what it found. A damaged point is an error that wraps ErrDamaged.
func (r *Repository) Verify(ctx context.Context, id string, o VerifyOptions) (*Verification, error) {
	m, hash, err := r.manifest(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	inv, err := r.inventory(ctx)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", id, err)
	}
	v := &verifier{repo: r, inv: inv, content: o.Content, meter: &meter{report: r.progress}}
	v.found = Verification{FormatVersion: FormatVersion, Point: id, ManifestSHA256: hash, At: r.now().UTC(), Content: o.Content}
	v.meter.state = Progress{Phase: PhaseVerify, TotalFiles: m.Files, TotalBytes: m.Bytes}
	for _, root := range m.Roots {
		if err := v.root(ctx, root); err != nil {
			return nil, fmt.Errorf("verify %s: query root %s: %w", id, root.Root, err)
		}
	}
	v.meter.flush()
	v.found.Healthy = v.found.Damaged == 0
	if !o.ReadOnly {
		if _, err := putRecord(ctx, r.store, r.prefix+verifiedDir+id+".json", v.found, false); err != nil {
			return nil, fmt.Errorf("record the verification of %s: %w", id, err)
		}
	}
	if !v.found.Healthy {
		return &v.found, fmt.Errorf("verify %s: %w: %d problems, first: %s", id, ErrDamaged, v.found.Damaged, v.found.Problems[0])
	}
	return &v.found, nil
}

type verifier struct {
	repo    *Repository
	inv     *inventory
	content bool
	meter   *meter
	found   Verification
}

func (v *verifier) problem(format string, args ...any) {
	v.found.Damaged++
	if len(v.found.Problems) < maxProblems {
		v.found.Problems = append(v.found.Problems, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
	}
}

func (v *verifier) root(ctx context.Context, root RootManifest) error {
	list, err := v.repo.fetchList(ctx, root.List)
	if err != nil {
		if unlessJudged(err) == nil {
			v.problem("%v", err)
			return nil
		}
		return err
	}
	defer list.close()
	files, bytes := v.found.Files, v.found.Bytes
	// Content is only read of what the listing shows; the rest is a problem anyway.
	err = v.repo.contents(ctx, list, v.look, v.read)
	if err != nil {
		if unlessJudged(err) == nil {
			v.problem("%v", err)
			return nil
		}
		return err
	}
	files, bytes = v.found.Files-files, v.found.Bytes-bytes
	if files != root.Files || bytes != root.Bytes {
		v.problem("the list has %d files of %d bytes, the manifest says %d of %d", files, bytes, root.Files, root.Bytes)
	}
	return nil
}

// look judges entries by the listing and picks those to be read too.
func (v *verifier) look(_ context.Context, some []*entry) ([]*entry, error) {
	var toRead []*entry
	for _, e := range some {
		v.found.Files++
		v.found.Bytes += e.Size
		switch {
		case !v.inv.holds(e):
			v.problem("%s: %s is missing or too short", e.Path, e.Object)
		case v.content:
			toRead = append(toRead, e)
		default:
			v.count(e)
		}
	}
	return toRead, nil
}

func (v *verifier) read(_ context.Context, e *entry, body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	v.count(e)
	return err
}

func (v *verifier) count(e *entry) {
	v.meter.add(func(p *Progress) {
		p.Files++
		p.Bytes += e.Size
	})
}

// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/checkpoint/checkpointtest"
)

// Every root that real Spark wrote goes back to every batch that it can be gone on
// with, in place and as a copy: verified as healthy at that batch, with the files of
// its restorable set as they were, and nothing of the time after it.
func TestEveryRootOfSparkGoesBackToEveryBatch(t *testing.T) {
	for name, want := range cases(t) {
		if !want.Healthy {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := checkpointtest.Unpack(t, name)
			before := tree(t, original)
			for _, batch := range want.RestorableBatches {
				set := selection(t, original, batch)
				root := filepath.Join(t.TempDir(), "root")
				copyTree(t, original, root)
				result := run(t, rewindOf(root, batch))
				if report := verify(t, root, want.MadeAt); !report.Healthy || *report.LastCommit != batch || report.InFlight {
					t.Errorf("batch %d: in place: %+v", batch, report)
				}
				after := tree(t, root)
				for _, f := range set {
					if after[f.Path] != before[f.Path] {
						t.Errorf("batch %d: %s was touched, and belongs to the set", batch, f.Path)
					}
				}
				nothingOf(t, batch, after)
				nothingLost(t, before, after, result)
				asCopy(t, original, batch, before)
			}
			sameTree(t, "what was copied", tree(t, original), before)
		})
	}
}

// asCopy brings the set to another place.
func asCopy(t *testing.T, original string, batch int64, before map[string]string) {
	t.Helper()
	r := rewindOf(original, batch)
	r.CopyTo = filepath.Join(t.TempDir(), "copy")
	r.As = "/elsewhere/root"
	result := run(t, r)
	if report := verify(t, r.CopyTo, r.As); !report.Healthy || *report.LastCommit != batch || report.InFlight {
		t.Errorf("batch %d: copy: %+v", batch, report)
	}
	want := map[string]string{}
	for _, f := range selection(t, original, batch) {
		want[f.Path] = before[f.Path]
	}
	got := sparks(tree(t, r.CopyTo))
	for _, name := range result.Rewritten {
		if !strings.Contains(got[name], "file:/elsewhere/root/state/") {
			t.Errorf("batch %d: %s does not name the new place", batch, name)
		}
		delete(got, name)
		delete(want, name)
	}
	sameTree(t, "copy", got, want)
}

var versioned = regexp.MustCompile(`^\.?(\d+)(?:_[0-9a-f-]{36})?\.(?:delta|snapshot|zip|changelog)(?:\.crc)*$`)

// nothingOf finds files of batches after one, by names alone and not by what rewind
// itself knows of names.
func nothingOf(t *testing.T, batch int64, files map[string]string) {
	t.Helper()
	for name := range sparks(files) {
		base := path.Base(name)
		limit, text := batch, ""
		switch dir := path.Dir(name); {
		case dir == "offsets", dir == "commits", strings.HasSuffix(dir, "/_metadata/v2"):
			text = strings.Trim(strings.TrimSuffix(base, ".crc"), ".")
		case strings.HasPrefix(name, "state/"):
			if m := versioned.FindStringSubmatch(base); m != nil {
				limit, text = batch+1, m[1]
			}
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > limit {
			t.Errorf("batch %d: %s is still there", batch, name)
		}
		if strings.HasSuffix(base, ".tmp") || strings.HasSuffix(base, ".tmp.crc") {
			t.Errorf("batch %d: %s is still there", batch, name)
		}
		if of, hidden := strings.CutPrefix(base, "."); hidden && strings.HasSuffix(of, ".crc") {
			if _, there := files[path.Join(path.Dir(name), strings.TrimSuffix(of, ".crc"))]; !there {
				t.Errorf("batch %d: %s has no file", batch, name)
			}
		}
	}
}

// nothingLost finds every file of before, in its place or aside.
func nothingLost(t *testing.T, before, after map[string]string, result *Result) {
	t.Helper()
	moved := int64(0)
	for name, content := range before {
		if got, there := after[name]; there && got == content {
			continue
		}
		if got, there := after[path.Join(result.Trash, name)]; !there || got != content {
			t.Errorf("%s is lost", name)
		}
		moved++
	}
	if moved != result.Moved {
		t.Errorf("%d files are aside, the result says %d", moved, result.Moved)
	}
}

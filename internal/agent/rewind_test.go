// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/internal/guard"
	"sparkpipeline.dev/operator/internal/rewind"
)

func rewound(t *testing.T, r ran) rewind.Result {
	t.Helper()
	var got rewind.Result
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
		t.Fatalf("code %d: %s%s", r.code, r.out, r.errOut)
	}
	last, err := json.Marshal(r.last.Result)
	if err != nil {
		t.Fatal(err)
	}
	var told rewind.Result
	if err := json.Unmarshal(last, &told); err != nil || told.Batch != got.Batch || told.Target != got.Target {
		t.Errorf("the termination message says %s", last)
	}
	return got
}

// In place it works with the word of its caller only; without it the same line makes a
// new root and touches nothing.
func TestRewindInPlaceNeedsTheWord(t *testing.T) {
	root := filepath.Join(t.TempDir(), "agg")
	sparkRoot(t, "hdfs-41", root)
	before := contentOf(t, root)
	got := rewound(t, runAgent(t, nil, "rewind", root, "--to", "3", "--settle", "0s", "-o", "json"))
	if got.InPlace || got.Target != root+"-rewound" || got.Batch != 3 || got.From != 5 {
		t.Errorf("%+v", got)
	}
	if after := contentOf(t, root); len(after) != len(before) {
		t.Errorf("%d files, before %d", len(after), len(before))
	}
	if r := runAgent(t, nil, "verify", got.Target); r.code != 0 {
		t.Errorf("code %d: %s", r.code, r.errOut)
	}
	got = rewound(t, runAgent(t, nil, "rewind", root, "--to", "3", "--settle", "0s", "--writers-terminated", "-o", "json"))
	if !got.InPlace || got.Target != root || got.Moved == 0 {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(root, "offsets/4")); !os.IsNotExist(err) {
		t.Error("offsets/4 is still there")
	}
	if r := runAgent(t, nil, "rewind", root, "--settle", "0s", "--writers-terminated"); r.code != 0 || !strings.Contains(r.out, "is at batch 3 already and in order") {
		t.Errorf("code %d: %s%s", r.code, r.out, r.errOut)
	}
}

func TestRewindTellsCausesApart(t *testing.T) {
	for title, test := range map[string]struct {
		line   string // ROOT stands for the root
		change func(t *testing.T, root string)
		code   int
		says   string
	}{
		"no root named":           {"", nil, CodeUsage, "accepts 1 arg(s)"},
		"a bucket":                {"s3://b/agg", nil, CodeUsage, "agent restore --batch"},
		"a negative batch":        {"ROOT --to -2", nil, CodeUsage, "--to is -2"},
		"too shallow":             {"ROOT --level 3", nil, CodeUsage, "allowed is 4 to 6"},
		"a place for no copy":     {"ROOT --writers-terminated --as /x", nil, CodeUsage, "not allowed beside it"},
		"a place that is none":    {"ROOT --as x", nil, CodeUsage, `--as is "x"`},
		"a mount point":           {"/proc", nil, CodeUsage, "is a mount point"},
		"nothing there":           {"ROOT/nowhere", nil, CodeNotCheckpoint, "find ROOT"},
		"nothing there, in place": {"ROOT/nowhere --writers-terminated", nil, CodeNotCheckpoint, "find ROOT"},
		"no checkpoint":           {"ROOT/.. --writers-terminated", nil, CodeNotCheckpoint, "below it are the roots agg"},
		"a batch that is not":     {"ROOT --to 9 --writers-terminated", nil, CodeNotRestorable, "committed are 0 to 5"},
		"a target that is full": {"ROOT --to 3 --copy-to ROOT/../full", func(t *testing.T, root string) {
			if err := os.Mkdir(root+"/../full", 0o755); err != nil {
				t.Fatal(err)
			}
			touch(t, root, "../full/precious", "")
		}, CodeNotEmpty, `holds "precious"`},
		"locked": {"ROOT --to 3 --writers-terminated", func(t *testing.T, root string) { touch(t, root, guard.LockName, "") }, CodeLocked, "wait for who made it"},
		"unfinished": {"ROOT --to 3 --writers-terminated", func(t *testing.T, root string) {
			touch(t, root, guard.RewindName, `{"formatVersion":1,"id":"x","batch":2,"trash":".sparkpipeline-trash/1"}`)
		}, CodeUnfinished, "a rewind to batch 2 has begun"},
		"an older copy": {"ROOT --to 3 --writers-terminated", func(t *testing.T, root string) {
			touch(t, root, guard.OwnerName, `{"formatVersion":1,"roots":{".":8}}`)
		}, CodeOlder, "though batch 8 was committed"},
		"another pipeline's": {"ROOT --to 3 --writers-terminated --config CONFIG", func(t *testing.T, root string) {
			touch(t, root, guard.OwnerName, `{"formatVersion":1,"namespace":"data","name":"orders"}`)
		}, CodeTakenOver, "names data/orders"},
	} {
		t.Run(title, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "agg")
			sparkRoot(t, "hdfs-41", root)
			if test.change != nil {
				test.change(t, root)
			}
			line := strings.ReplaceAll(strings.ReplaceAll(test.line, "ROOT", root), "CONFIG", configFile(t, "/mnt/checkpoints", "/mnt/logs"))
			r := runAgent(t, nil, append([]string{"rewind", "--settle", "0s"}, strings.Fields(line)...)...)
			if r.code != test.code || !strings.Contains(r.errOut, test.says) {
				t.Errorf("code %d, want %d; %s, want %q", r.code, test.code, r.errOut, test.says)
			}
		})
	}
}

func touch(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

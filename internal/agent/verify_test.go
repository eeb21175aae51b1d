// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sparkpipeline.dev/operator/internal/checkpoint"
)

// rootFiles is a healthy root of a query without state, after batch 1.
func rootFiles() map[string]string {
	return map[string]string{
		"metadata":  `{"id":"7aeab0d6-f91a-4d05-902c-34d545725a0e"}`,
		"offsets/0": "v1\n{\"batchWatermarkMs\":0,\"conf\":{}}\n{\"orders\":{\"0\":4}}", "commits/0": "v1\n{\"nextBatchWatermarkMs\":0}",
		"offsets/1": "v1\n{\"batchWatermarkMs\":0,\"conf\":{}}\n{\"orders\":{\"0\":9}}", "commits/1": "v1\n{\"nextBatchWatermarkMs\":0}",
	}
}

func TestVerifyTellsHealthyFromDamagedFromUnknown(t *testing.T) {
	healthy := tree(t, rootFiles())
	damagedFiles := rootFiles()
	damagedFiles["commits/1"] = "v1\n{"
	damaged := tree(t, damagedFiles)
	mount := t.TempDir()
	write(t, mount, damagedTime, prefixed("orders/agg/", rootFiles()))
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"healthy":      {[]string{healthy}, CodeOK, ""},
		"damaged":      {[]string{damaged}, CodeFinding, "commits/1 line 2 is not JSON"},
		"below level":  {[]string{"--level", "2", damaged}, CodeOK, ""},
		"no such":      {[]string{filepath.Join(healthy, "none")}, CodeFailed, "no such file"},
		"a file":       {[]string{filepath.Join(healthy, "metadata")}, CodeFailed, "not a directory"},
		"empty":        {[]string{t.TempDir()}, CodeFailed, "no checkpoint root"},
		"mount":        {[]string{mount}, CodeFailed, "below it are the roots orders/agg"},
		"level":        {[]string{"--level", "9", healthy}, CodeUsage, "--level is 9; allowed are 1 to 6"},
		"no root":      {nil, CodeUsage, "accepts 1 arg"},
		"bad manifest": {[]string{"--manifest", filepath.Join(healthy, "metadata"), healthy}, CodeFailed, "formatVersion is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runAgent(t, nil, append([]string{"verify"}, tt.args...)...)
			if r.code != tt.code || !strings.Contains(r.errOut, tt.says) {
				t.Errorf("exit code %d: %s", r.code, r.errOut)
			}
		})
	}
}

// damagedTime is any time: nothing here depends on it.
var damagedTime = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func prefixed(prefix string, files map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		out[prefix+name] = text
	}
	return out
}

func TestVerifyPrintsJSON(t *testing.T) {
	files := rootFiles()
	delete(files, "commits/1")
	r := runAgent(t, nil, "verify", "-o", "json", tree(t, files))
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key := range got {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if want := []string{"findings", "healthy", "inFlight", "lastCommit", "lastOffset", "provider", "restorableBatches"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v", keys)
	}
	if got["healthy"] != true || got["inFlight"] != true || got["lastOffset"] != 1.0 || got["lastCommit"] != 0.0 || got["provider"] != "none" {
		t.Errorf("%v", got)
	}
}

func TestVerifyFindsWhatChangedSinceAManifest(t *testing.T) {
	root := tree(t, rootFiles())
	manifest := filepath.Join(t.TempDir(), "manifest.json")
	if r := runAgent(t, nil, "verify", "--write-manifest", manifest, root); r.code != CodeOK {
		t.Fatal(r.errOut)
	}
	if r := runAgent(t, nil, "verify", "--write-manifest", manifest, root); r.code != CodeFailed {
		t.Errorf("an earlier manifest was overwritten: exit code %d", r.code)
	}
	write(t, root, damagedTime, map[string]string{"metadata": `{"id":"11111111-f91a-4d05-902c-34d545725a0e"}`})
	if r := runAgent(t, nil, "verify", root); r.code != CodeOK {
		t.Errorf("exit code %d: %s", r.code, r.errOut)
	}
	r := runAgent(t, nil, "verify", "-o", "json", "--manifest", manifest, root)
	var report struct{ Findings []checkpoint.Finding }
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatal(err)
	}
	if r.code != CodeFinding || len(report.Findings) != 1 || report.Findings[0].Kind != checkpoint.KindQueryIDChanged {
		t.Errorf("exit code %d: %+v", r.code, report.Findings)
	}
}

func TestNoManifestOfADamagedRoot(t *testing.T) {
	files := rootFiles()
	files["commits/1"] = "zzz"
	manifest := filepath.Join(t.TempDir(), "manifest.json")
	r := runAgent(t, nil, "verify", "--write-manifest", manifest, tree(t, files))
	if _, err := os.Stat(manifest); r.code != CodeFinding || err == nil {
		t.Errorf("exit code %d, manifest written: %v", r.code, err == nil)
	}
}

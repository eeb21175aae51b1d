// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

const sample = `{
  "pipeline": {"namespace": "shop", "name": "clicks", "uid": "0b5c"},
  "workloadNamespace": "shop", "sparkVersion": "4.1.1", "root": "/mnt/checkpoints",
  "queries": [{"name": "orders"}, {"name": "returns", "path": "deep/returns"}],
  "eventLogs": "/mnt/spark-events",
  "objectStore": {"region": "us-west-2", "buckets": {"backups": "b-backups"}},
  "backup": {"checkpoint": {"retention": "168h"}, "eventLogArchive": {"after": "168h", "storageClass": "GLACIER"}}
}`

func TestConfigOfTheOperatorIsRead(t *testing.T) {
	c, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.QueryPaths(), " "); got != "orders deep/returns" {
		t.Errorf("roots of the queries are %q", got)
	}
	if c.ObjectStore.Buckets.Backups != "b-backups" || c.Backup.Checkpoint.Retention != "168h" || c.Pipeline.UID != "0b5c" {
		t.Errorf("read %+v", c)
	}
}

func TestBadConfigNamesTheField(t *testing.T) {
	for title, test := range map[string]struct{ old, new, says string }{
		"unknown field":   {`"region"`, `"regoin": "x", "region"`, `"objectStore.regoin"`},
		"field twice":     {`"root"`, `"root": "/other", "root"`, `"root"`},
		"wrong type":      {`"us-west-2"`, `7`, `objectStore.region`},
		"no uid":          {`"0b5c"`, `""`, "pipeline.uid is empty"},
		"no root":         {`"/mnt/checkpoints"`, `""`, "root is empty"},
		"bad retention":   {`{"retention": "168h"}`, `{"retention": "7d"}`, `backup.checkpoint.retention is "7d"`},
		"bad archive age": {`"after": "168h"`, `"after": "-1h"`, `backup.eventLogArchive.after is "-1h"`},
		"cut off":         {`GLACIER"}}`, `GLACIER"`, "configuration of the agent"},
	} {
		t.Run(title, func(t *testing.T) {
			text := strings.Replace(sample, test.old, test.new, 1)
			if text == sample {
				t.Fatalf("nothing was changed: the sample lacks %s", test.old)
			}
			_, err := Parse([]byte(text + "\n"))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want it to say %s", err, test.says)
			}
		})
	}
}

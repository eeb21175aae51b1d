package main

import (
	"io/fs"
	"strings"
	"testing"

	"sparkpipeline.dev/operator/test/cluster/image"
)

func TestParseFile(t *testing.T) {
	for _, c := range []struct {
		arg  string
		want image.Entry
	}{
		{"/app=bin/app:0755", image.Entry{Path: "/app", Source: "bin/app", Mode: 0o755}},
		{"/etc/app.yaml=app.yaml", image.Entry{Path: "/etc/app.yaml", Source: "app.yaml", Mode: fs.FileMode(0o644)}},
	} {
		got, err := parseFile(c.arg)
		if err != nil {
			t.Fatal(err)
		}
		if got.Path != c.want.Path || got.Source != c.want.Source || got.Mode != c.want.Mode {
			t.Errorf("%s is %+v, want %+v", c.arg, got, c.want)
		}
	}
	for arg, want := range map[string]string{
		"app":             "want /path/in/image=path/here[:mode]",
		"app=bin/app":     "want /path/in/image=path/here[:mode]",
		"/app=bin/app:rx": `mode "rx" is no octal number`,
	} {
		if _, err := parseFile(arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want one with %q", arg, err, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sparkpipeline.dev/operator/test/s3/server"
)

// tool is one way to bring a directory to a bucket and back. Every command is a
// process of its own.
type tool struct {
	name string
	// program is found in PATH, or is a path.
	program string
	version []string
	// prepare makes what the first copy needs and is not part of it; nil: nothing.
	prepare func(place) []string
	backup  func(place) []string
	// restore is nil for tools that are only measured on the way up.
	restore func(place) []string
}

// place is where a tool works: a bucket of its own and a directory.
type place struct {
	url, bucket, dir, target string
}

func agentTool(program string) tool {
	flags := func(at place, command string, more ...string) []string {
		return append([]string{command, "--bucket", at.bucket, "--prefix", "points", "--owner", "bench", "--endpoint", at.url,
			"--region", server.Region, "--path-style", "--concurrency", strconv.Itoa(concurrency), "-o", "json"}, more...)
	}
	return tool{
		name: "agent", program: program, version: []string{"version"},
		backup:  func(at place) []string { return flags(at, "backup", "--root", at.dir, "--keep-all") },
		restore: func(at place) []string { return flags(at, "restore", at.target) },
	}
}

func bareTool(self string) tool {
	return tool{
		name: "bare loop", program: self,
		backup:  func(at place) []string { return []string{"bare", "upload", at.url, at.bucket, at.dir} },
		restore: func(at place) []string { return []string{"bare", "download", at.url, at.bucket, at.target} },
	}
}

// peers are the tools that people use, as Debian packages them.
func peers(scratch string) ([]tool, error) {
	aws := filepath.Join(scratch, "aws.config")
	text := fmt.Sprintf("[default]\nregion = %s\ns3 =\n  max_concurrent_requests = %d\n  addressing_style = path\n", server.Region, concurrency)
	if err := os.WriteFile(aws, []byte(text), 0o644); err != nil {
		return nil, err
	}
	restic := func(at place, args ...string) []string {
		return append([]string{"-q", "-o", "s3.connections=" + strconv.Itoa(concurrency), "-o", "s3.bucket-lookup=path", "-r", "s3:" + at.url + "/" + at.bucket + "/r"}, args...)
	}
	remote := func(at place) string {
		return fmt.Sprintf(":s3,provider=Other,env_auth=true,force_path_style=true,region=%s,endpoint=\"%s\":%s/r", server.Region, at.url, at.bucket)
	}
	n := strconv.Itoa(concurrency)
	return []tool{
		{
			name: "rclone", program: "/usr/bin/rclone", version: []string{"version"},
			backup: func(at place) []string {
				return []string{"copy", "-q", "--transfers", n, "--checkers", n, "--fast-list", at.dir, remote(at)}
			},
			restore: func(at place) []string {
				return []string{"copy", "-q", "--transfers", n, "--checkers", n, "--fast-list", remote(at), at.target}
			},
		},
		{
			name: "restic", program: "/usr/bin/restic", version: []string{"version"},
			prepare: func(at place) []string { return restic(at, "init") },
			backup:  func(at place) []string { return restic(at, "backup", at.dir) },
			restore: func(at place) []string { return restic(at, "restore", "latest", "--target", at.target) },
		},
		{
			name: "aws s3 sync", program: "/usr/bin/aws", version: []string{"--version"},
			backup: func(at place) []string {
				return []string{"s3", "sync", "--only-show-errors", "--endpoint-url", at.url, at.dir, "s3://" + at.bucket + "/r"}
			},
			restore: func(at place) []string {
				return []string{"s3", "sync", "--only-show-errors", "--endpoint-url", at.url, "s3://" + at.bucket + "/r", at.target}
			},
		},
	}, nil
}

// environment is the machine's without what it tells these tools.
func environment(scratch string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "RCLONE_") || strings.HasPrefix(v, "RESTIC_")
	})
	return append(env,
		"AWS_ACCESS_KEY_ID="+server.RootAccess, "AWS_SECRET_ACCESS_KEY="+server.RootSecret, "AWS_DEFAULT_REGION="+server.Region,
		"AWS_CONFIG_FILE="+filepath.Join(scratch, "aws.config"), "AWS_EC2_METADATA_DISABLED=true",
		"RESTIC_PASSWORD=bench", "RESTIC_CACHE_DIR="+filepath.Join(scratch, "restic-cache"), "RCLONE_CONFIG="+filepath.Join(scratch, "rclone.conf"),
		"TMPDIR="+scratch)
}

// versionOf is the first line of what the tool says, or why there is none.
func (t tool) versionOf(ctx context.Context) (string, error) {
	if t.version == nil {
		return "", nil
	}
	out, err := exec.CommandContext(ctx, t.program, t.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w", t.name, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}

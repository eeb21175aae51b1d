package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Packages maps a file that must be there, as a path or as a command, to the
// Debian package that has it.
type Packages map[string]string

var nodePackages = Packages{
	"runc":              "runc",
	"iptables":          "iptables",
	"conntrack":         "conntrack",
	"ipset":             "ipset",
	"ip":                "iproute2",
	"nsenter":           "util-linux",
	"mount":             "mount",
	cniDir + "/bridge":  "containernetworking-plugins",
	cniDir + "/portmap": "containernetworking-plugins",
}

// InstallPackages installs what is missing by apt-get.
func InstallPackages(ctx context.Context, wanted Packages) error {
	var missing []string
	for file, pkg := range wanted {
		if _, err := exec.LookPath(file); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, missing...)
	if err := run(ctx, install...); err == nil {
		return nil
	}
	// The package lists may be missing or old.
	if err := run(ctx, "apt-get", "update"); err != nil {
		return fmt.Errorf("update package lists: %w", err)
	}
	if err := run(ctx, install...); err != nil {
		return fmt.Errorf("install packages: %w", err)
	}
	return nil
}

// run runs a command to its end; its output is part of the error.
func run(ctx context.Context, argv ...string) error {
	_, err := output(ctx, argv...)
	return err
}

// output runs a command to its end and returns its output.
func output(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return string(out), nil
}

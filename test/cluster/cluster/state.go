package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Component is one program of a cluster.
type Component struct {
	Name string `json:"name"`
	// Argv is the command, program first.
	Argv []string `json:"argv"`
	// Health is a URL that answers 200 once the component is ready; empty
	// means ready as soon as it runs. It is asked with the admin's
	// certificate, without verifying the server's: controllers make theirs
	// themselves.
	Health string `json:"health,omitempty"`
}

// state is what Attach needs to find a cluster again, in the order in which
// the components were started.
type state struct {
	Binaries   string      `json:"binaries"`
	Components []Component `json:"components"`
}

func statePath(dir string) string { return filepath.Join(dir, "cluster.json") }

func (c *Cluster) saveState() error {
	data, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster state: %w", err)
	}
	if err := os.WriteFile(statePath(c.Dir), data, 0o600); err != nil {
		return fmt.Errorf("write cluster state: %w", err)
	}
	return nil
}

func loadState(dir string) (state, error) {
	var s state
	data, err := os.ReadFile(statePath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("no cluster was started in %s", dir)
	}
	if err != nil {
		return s, fmt.Errorf("read cluster state: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("parse %s: %w", statePath(dir), err)
	}
	return s, nil
}

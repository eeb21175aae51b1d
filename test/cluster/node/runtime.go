package node

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sparkpipeline.dev/operator/test/cluster/cluster"
	"sparkpipeline.dev/operator/test/cluster/image"
)

const (
	runtimeName = "containerd"
	cniDir      = "/usr/lib/cni"
	// cniNetwork begins the names of the files in cniResults.
	cniNetwork = "sparkpipeline"
	cniResults = "/var/lib/cni/results"
	pauseImage = "sparkpipeline.local/pause:1"

	runtimeTimeout = time.Minute
	runtimePoll    = 50 * time.Millisecond
)

// runtimeConfig is containerd's configuration; %[1]s is the cluster's
// directory.
const runtimeConfig = `version = 3
root = "%[1]s/containerd/root"
state = "%[1]s/containerd/state"

[grpc]
  address = "%[1]s/containerd.sock"

[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/containerd/opt"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + pauseImage + `"

[plugins."io.containerd.cri.v1.runtime"]
  # A machine that is itself a container may not lower the score.
  restrict_oom_score_adj = true
  # So that unmounting the state directory takes them along.
  netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["` + cniDir + `"]
  conf_dir = "%[1]s/cni"
  # The plugin would leave a file in /var for every pod.
  use_internal_loopback = true
`

// networkConfig is the pods' network: a bridge, and port mappings.
const networkConfig = `{
  "cniVersion": "1.0.0",
  "name": "` + cniNetwork + `",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "%[1]s/cni/addresses",
        "ranges": [[{"subnet": "` + podRange + `"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

func (n *Node) socket() string { return n.path("containerd.sock") }

// write writes a configuration file into the cluster's directory.
func (n *Node) write(name, content string) error {
	path := n.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("create configuration directory: %w", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// startRuntime starts containerd and waits until it answers.
func (n *Node) startRuntime(ctx context.Context) error {
	if err := n.write("containerd.toml", fmt.Sprintf(runtimeConfig, n.Dir)); err != nil {
		return err
	}
	if err := n.write("cni/10-bridge.conflist", fmt.Sprintf(networkConfig, n.Dir)); err != nil {
		return err
	}
	if err := n.Run(ctx, cluster.Component{Name: runtimeName, Argv: n.binary("containerd", "--config="+n.path("containerd.toml"))}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, runtimeTimeout)
	defer cancel()
	for {
		_, err := n.ctr(ctx, "version")
		if err == nil {
			return nil
		}
		if !n.Running(runtimeName) {
			return fmt.Errorf("containerd has ended: see %s", n.Log(runtimeName))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd does not answer: %w; see %s", err, n.Log(runtimeName))
		case <-time.After(runtimePoll):
		}
	}
}

// ctr runs containerd's client on the containers of Kubernetes.
func (n *Node) ctr(ctx context.Context, args ...string) (string, error) {
	argv := append([]string{filepath.Join(n.Binaries(), "ctr"), "--address", n.socket(), "--namespace", "k8s.io"}, args...)
	return output(ctx, argv...)
}

// ImportImage makes the image in an archive known to the node. A pod that uses
// it must not say imagePullPolicy Always.
func (n *Node) ImportImage(ctx context.Context, archive string) error {
	if _, err := n.ctr(ctx, "images", "import", archive); err != nil {
		return fmt.Errorf("import image: %w", err)
	}
	return nil
}

// Images returns the names of the node's images, those without a name left
// out.
func (n *Node) Images(ctx context.Context) ([]string, error) {
	out, err := n.ctr(ctx, "images", "list", "--quiet")
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var names []string
	for line := range strings.Lines(out) {
		if name := strings.TrimSpace(line); !strings.HasPrefix(name, "sha256:") {
			names = append(names, name)
		}
	}
	return names, nil
}

// importPause makes the image that holds a pod's namespaces.
func (n *Node) importPause(ctx context.Context) error {
	layer, archive := n.path("pause-layer.tar"), n.path("pause.tar")
	err := image.WriteLayer(layer, []image.Entry{{Path: "pause", Source: filepath.Join(n.Binaries(), "pause"), Mode: fs.FileMode(0o755)}})
	if err != nil {
		return err
	}
	spec := image.Spec{Ref: pauseImage, Layers: []string{layer}, Entrypoint: []string{"/pause"}, User: "65535"}
	if err := image.Write(archive, spec); err != nil {
		return err
	}
	return n.ImportImage(ctx, archive)
}

// Package image makes container images without a container engine or a
// registry: layers are tar files, and the image is one archive that is both an
// OCI image layout and what `docker load` reads, so that containerd, Docker,
// Podman and skopeo take it as it is. The same layers and settings give the
// same bytes.
package image

import (
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of everything in an image and its archive.
var epoch = time.Unix(0, 0).UTC()

// Spec describes an image.
type Spec struct {
	// Ref is its name with registry and tag, such as example.org/app:1.
	Ref string
	// Layers are the paths of tar files, plain or gzipped, the lowest first.
	Layers []string
	// Entrypoint and Cmd are what it runs.
	Entrypoint, Cmd []string
	// User runs it, best as a number: Kubernetes cannot check a name for not
	// being root.
	User string
	// WorkDir is the working directory. Empty means /.
	WorkDir string
	// Env are further environment variables as NAME=value; PATH is set.
	Env []string
	// Labels are image labels.
	Labels map[string]string
	// Architecture of its programs in Go's spelling. Default: amd64.
	Architecture string
}

// Write writes the image's archive to path.
func Write(path string, s Spec) (err error) {
	tag, err := name.NewTag(s.Ref, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("image reference: %w", err)
	}
	img, err := build(s)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), ".image-")
	if err != nil {
		return fmt.Errorf("create image layout: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := writeLayout(tmp, tag, img); err != nil {
		return err
	}
	entries, err := Tree(tmp, "")
	if err != nil {
		return err
	}
	// Renamed into place: nobody sees half an archive.
	if err := WriteLayer(path+".tmp", entries); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}

// build puts layers and settings together.
func build(s Spec) (v1.Image, error) {
	if len(s.Layers) == 0 {
		return nil, errors.New("image has no layers")
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, path := range s.Layers {
		layer, err := tarball.LayerFromFile(path, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
		if err != nil {
			return nil, fmt.Errorf("read layer %s: %w", path, err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}}}); err != nil {
			return nil, fmt.Errorf("append layer %s: %w", path, err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", s.Architecture, v1.Time{Time: epoch}
	if config.Architecture == "" {
		config.Architecture = "amd64"
	}
	config.Config = v1.Config{
		Entrypoint: s.Entrypoint, Cmd: s.Cmd, User: s.User, WorkingDir: s.WorkDir, Labels: s.Labels,
		Env: append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, s.Env...),
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, fmt.Errorf("set image configuration: %w", err)
	}
	return img, nil
}

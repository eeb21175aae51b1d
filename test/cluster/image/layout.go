package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Annotations by which an importer finds the image's name: the first is of the
// OCI image layout, the second containerd's.
const (
	refNameAnnotation   = "org.opencontainers.image.ref.name"
	imageNameAnnotation = "io.containerd.image.name"
)

// dockerManifest is an element of manifest.json, the index of a `docker save`
// archive.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeLayout writes an OCI image layout with one image to dir, and the file
// by which older Dockers find their way in it.
func writeLayout(dir string, tag name.Tag, img v1.Image) error {
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write image layout: %w", err)
	}
	err = l.AppendImage(img, layout.WithAnnotations(map[string]string{
		refNameAnnotation:   tag.TagStr(),
		imageNameAnnotation: tag.Name(),
	}))
	if err != nil {
		return fmt.Errorf("write image to layout: %w", err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return fmt.Errorf("read image manifest: %w", err)
	}
	docker := dockerManifest{Config: blob(manifest.Config.Digest), RepoTags: []string{tag.Name()}}
	for _, layer := range manifest.Layers {
		docker.Layers = append(docker.Layers, blob(layer.Digest))
	}
	data, err := json.Marshal([]dockerManifest{docker})
	if err != nil {
		return fmt.Errorf("encode manifest.json: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), data, 0o644); err != nil {
		return fmt.Errorf("write manifest.json: %w", err)
	}
	return nil
}

func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Rewrite is a file of a root whose content has to change when the root moves.
type Rewrite struct {
	Path    string
	Content []byte
	// Stale are the checksums of the old content that lie beside the file. They have
	// to go: Spark does without them, and a wrong one is damage to every judge.
	Stale []string
}

// Relocate lists what has to be rewritten so that the root starts at place, a path or
// a URI: operator metadata of version 2 names its schema files by the absolute path
// at which the root was made, and transformWithState starts nowhere else. Roots that
// were rewritten so and copied started at their new place and were right, those of
// joins too, which would start without it (seen with Spark 4.1.4 and 4.3.0). Nothing
// is written here; a root that is at its place already needs nothing. The error says
// which file cannot be rewritten and why.
func (r *Root) Relocate(ctx context.Context, place string) ([]Rewrite, error) {
	to, err := recordedPlace(place)
	if err != nil {
		return nil, err
	}
	var out []Rewrite
	for p := range r.files {
		op, ok := describedBy(p)
		if !ok {
			continue
		}
		data, err := read(ctx, r.src, p, largestLogEntry)
		if err != nil {
			return nil, doing("read "+p, err)
		}
		content, err := relocated(p, op, data, to)
		if err != nil {
			return nil, fmt.Errorf("move %s to %s: %w", p, place, err)
		}
		if bytes.Equal(content, data) {
			continue
		}
		out = append(out, Rewrite{Path: p, Content: content, Stale: r.checksumsOf(p)})
	}
	slices.SortFunc(out, func(a, b Rewrite) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// recordedPlace is how Spark records the place of a root.
func recordedPlace(location string) (string, error) {
	to := place(location)
	if strings.Contains(to, "://") {
		return to, nil
	}
	if !path.IsAbs(to) || to == "/" {
		return "", fmt.Errorf("the place of the root is %q; allowed is an absolute path, or a URI such as s3a://bucket/prefix", location)
	}
	return "file:" + to, nil
}

// describedBy tells operator metadata of version 2, and the directory of its operator.
func describedBy(p string) (op string, ok bool) {
	parts := strings.Split(p, "/")
	if len(parts) != 5 || parts[0] != "state" || parts[2] != "_metadata" || parts[3] != "v2" {
		return "", false
	}
	_, canonical, numbered := number(parts[4])
	return path.Join(parts[0], parts[1]), numbered && canonical
}

func (r *Root) checksumsOf(p string) []string {
	var out []string
	spark := p + ".crc"
	for _, name := range []string{hiddenCompanion(p), spark, hiddenCompanion(spark)} {
		if _, there := r.files[name]; there {
			out = append(out, name)
		}
	}
	return out
}

// relocated changes the recorded paths and leaves every other byte as it is.
func relocated(p, op string, data []byte, to string) ([]byte, error) {
	m, err := parseOperatorMetadata(p, data)
	if err != nil {
		return nil, err
	}
	moved := map[string]string{}
	for _, store := range m.Stores {
		for _, recorded := range store.Schemas {
			// A schema file keeps its name and its place below the operator.
			below := path.Join(op, "_stateSchema", path.Base(path.Dir(recorded)), path.Base(recorded))
			if !strings.HasSuffix(recorded, "/"+below) {
				return nil, malformed("names the schema file %s; such a file lies in %s/_stateSchema of the root", clip(recorded), op)
			}
			moved[recorded] = to + "/" + below
		}
	}
	version, body, _ := bytes.Cut(data, []byte("\n"))
	body, err = replaceStrings(body, moved)
	if err != nil {
		return nil, err
	}
	return slices.Concat(version, []byte("\n"), body), nil
}

// replaceStrings changes strings of a JSON text, byte by byte the same otherwise.
func replaceStrings(text []byte, by map[string]string) ([]byte, error) {
	var out []byte
	done := int64(0)
	for tokens := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return append(out, text[done:]...), nil
		}
		if err != nil {
			return nil, malformed("line 2 is not JSON: %v", err)
		}
		end := tokens.InputOffset()
		if old, ok := token.(string); ok && by[old] != "" {
			fresh, err := json.Marshal(by[old])
			if err != nil {
				return nil, err
			}
			before := text[done:end]
			out = append(append(out, before[:bytes.IndexByte(before, '"')]...), fresh...)
		} else {
			out = append(out, text[done:end]...)
		}
		done = end
	}
}

// RelocateDir rewrites a root in a directory as Relocate says, and returns the paths
// of what it rewrote. Each file is replaced at once, and its checksums go before, so
// that a run that was cut off can be run again and leaves nothing that Spark minds.
// Only for a copy that nobody uses yet; dir is the root as it is reached here, place
// as its query will reach it.
func RelocateDir(ctx context.Context, dir, place string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the root: %w", err)
	}
	defer root.Close()
	r, err := Open(ctx, &Dir{root})
	if err != nil {
		return nil, err
	}
	rewrites, err := r.Relocate(ctx, place)
	if err != nil {
		return nil, err
	}
	var done []string
	for _, w := range rewrites {
		if err := w.write(root); err != nil {
			return done, fmt.Errorf("rewrite %s: %w", w.Path, err)
		}
		done = append(done, w.Path)
	}
	return done, nil
}

func (w *Rewrite) write(root *os.Root) error {
	for _, name := range w.Stale {
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	// Spark passes over what is named like this.
	fresh := path.Join(path.Dir(w.Path), "."+path.Base(w.Path)+".relocated.tmp")
	file, err := root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o664)
	if err != nil {
		return err
	}
	_, err = file.Write(w.Content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := root.Rename(fresh, w.Path); err != nil {
		return err
	}
	d, err := root.Open(filepath.FromSlash(path.Dir(w.Path)))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

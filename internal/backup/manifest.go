// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"sparkpipeline.dev/operator/internal/objectstore"
)

// FormatVersion of manifests, lists and owner records that this package writes.
// Newer ones are refused.
const FormatVersion = 1

// maxRecord bounds what is read of a manifest or a record, in bytes.
const maxRecord = 16 << 20

// Reference names an object of the same owner and what it must hold.
type Reference struct {
	// Key below the owner's prefix.
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	// Size in bytes.
	Size int64 `json:"size"`
}

// RootManifest is one query root of a point.
type RootManifest struct {
	RootInfo
	Files int64 `json:"files"`
	// Bytes of all files.
	Bytes int64 `json:"bytes"`
	// List is the object with the files of the root, gzip of one JSON object a
	// line, in ascending order of paths.
	List Reference `json:"list"`
}

// Manifest is a recovery point.
type Manifest struct {
	FormatVersion int    `json:"formatVersion"`
	ID            string `json:"id"`
	// Owner that wrote the point, and its epoch.
	Owner Holder `json:"owner"`
	Epoch int64  `json:"epoch"`
	// StartedAt is before the first file was looked at.
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"`
	// Base is the point whose objects were used again; empty for a first copy.
	Base  string         `json:"base,omitempty"`
	Roots []RootManifest `json:"roots"`
	Files int64          `json:"files"`
	// Bytes of all files, and what of it had to be sent.
	Bytes     int64 `json:"bytes"`
	SentFiles int64 `json:"sentFiles"`
	SentBytes int64 `json:"sentBytes"`
}

// idLayout makes ids sort by time.
const idLayout = "20060102T150405.000Z"

var idPattern = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[a-z2-7]{8}$`)

func newID(now time.Time) string {
	return now.UTC().Format(idLayout) + "-" + strings.ToLower(rand.Text()[:8])
}

func (m *Manifest) check(id string) error {
	if m.FormatVersion > FormatVersion {
		return &NewerFormatError{What: "recovery point " + id, Found: m.FormatVersion, Known: FormatVersion}
	}
	if m.FormatVersion < 1 || m.ID != id || len(m.Roots) == 0 {
		return fmt.Errorf("%w: manifest of %s says version %d, id %q and %d roots", ErrDamaged, id, m.FormatVersion, m.ID, len(m.Roots))
	}
	for _, root := range m.Roots {
		if err := checkRoot(root.Root); err != nil {
			return fmt.Errorf("%w: manifest of %s: %w", ErrDamaged, id, err)
		}
		if !strings.HasPrefix(root.List.Key, objectsDir) {
			return fmt.Errorf("%w: manifest of %s has its list at %q", ErrDamaged, id, root.List.Key)
		}
	}
	return nil
}

// putRecord writes a small JSON object and returns its hash.
func putRecord(ctx context.Context, s objectstore.Store, key string, record any, ifAbsent bool) (string, error) {
	body, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", key, err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	_, err = s.Put(ctx, key, bytes.NewReader(body), int64(len(body)), objectstore.PutOptions{SHA256: hash, IfAbsent: ifAbsent})
	return hash, err
}

// getRecord reads a small JSON object and returns its hash.
func getRecord(ctx context.Context, s objectstore.Store, key string, record any) (string, error) {
	body, err := readAll(ctx, s, key)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(body, record); err != nil {
		return "", fmt.Errorf("%w: %s is not JSON: %w", ErrDamaged, key, err)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}

func readAll(ctx context.Context, s objectstore.Store, key string) ([]byte, error) {
	r, _, err := s.Get(ctx, key, objectstore.Range{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(body) > maxRecord {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrDamaged, key, maxRecord)
	}
	return body, nil
}

// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// mostMounted bounds what is read of one mounted directory, in bytes. A Secret or a
// ConfigMap holds at most 1 MiB.
const mostMounted = 8 << 20

// Digest of a directory as the kubelet mounts a Secret or a ConfigMap: SHA-256 over
// the names and contents of its files, in hexadecimal. Its own administration,
// names that begin with two dots, does not count, so the same content has the same
// digest in every pod.
func Digest(dir fs.FS) (string, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return "", err
	}
	sum, left := sha256.New(), int64(mostMounted)
	part := func(text []byte) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		sum.Write(length[:])
		sum.Write(text)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		content, err := small(dir, e.Name(), left)
		if err != nil {
			return "", err
		}
		left -= int64(len(content))
		part([]byte(e.Name()))
		part(content)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func small(dir fs.FS, name string, most int64) ([]byte, error) {
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("the directory holds more than %d bytes, which no Secret or ConfigMap does", mostMounted)
	}
	return content, nil
}

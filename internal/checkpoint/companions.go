// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// castagnoli is the polynomial of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hiddenHeader begins the checksums of Hadoop's local file system; the number of
// bytes per sum follows.
var hiddenHeader = []byte{'c', 'r', 'c', 0}

// sparkChecksum is the JSON that Spark 4.1 writes beside a state file.
type sparkChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     int32  `json:"value"`
	Size      int64  `json:"mainFileSize"`
}

// matchesHidden compares a file with the checksums .X.crc that Hadoop keeps: a
// CRC32 per chunk, big-endian.
func matchesHidden(ctx context.Context, src Source, name string) (bool, error) {
	sums, err := src.Open(ctx, hiddenCompanion(name))
	if err != nil {
		return false, err
	}
	defer sums.Close()
	want := bufio.NewReader(sums)
	var header [8]byte
	if _, err := io.ReadFull(want, header[:]); err != nil {
		return false, readErrorOrNil(err)
	}
	chunk := binary.BigEndian.Uint32(header[4:])
	if !bytes.Equal(header[:4], hiddenHeader) || chunk == 0 || chunk > 1<<20 {
		return false, nil
	}
	body, err := src.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer body.Close()
	buffer := make([]byte, chunk)
	for {
		n, err := io.ReadFull(body, buffer)
		if err == io.EOF {
			_, err := want.ReadByte()
			return err == io.EOF, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false, fmt.Errorf("read %s: %w", name, err)
		}
		var sum [4]byte
		if _, err := io.ReadFull(want, sum[:]); err != nil {
			return false, readErrorOrNil(err)
		}
		if binary.BigEndian.Uint32(sum[:]) != crc32.ChecksumIEEE(buffer[:n]) {
			return false, nil
		}
	}
}

// readErrorOrNil drops the errors that only say that a file is too short.
func readErrorOrNil(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// matchesSpark compares a state file with Spark's checksum X.crc. A companion that
// cannot be read says nothing and counts as a mismatch.
func matchesSpark(ctx context.Context, src Source, name string) (bool, error) {
	data, err := read(ctx, src, name+".crc", largestMetadata)
	if err != nil {
		return false, ignoreFormat(err)
	}
	var want sparkChecksum
	if json.Unmarshal(data, &want) != nil {
		return false, nil
	}
	if want.Algorithm != "CRC32C" {
		return true, nil // another algorithm than we know says nothing
	}
	body, err := src.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer body.Close()
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, body)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return n == want.Size && int32(sum.Sum32()) == want.Value, nil
}

// ignoreFormat drops a formatError.
func ignoreFormat(err error) error {
	if _, bad := errors.AsType[*formatError](err); bad {
		return nil
	}
	return err
}

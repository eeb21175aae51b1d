// SPDX-License-Identifier: Apache-2.0

package sparksim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/OneOfOne/xxhash"
)

// changes are records of a state file: nil removes a key.
type changes map[uint64]*counted

func (t table) changes(of map[uint64]bool) changes {
	out := changes{}
	for key := range of {
		if now, ok := t[key]; ok {
			out[key] = &now
		} else {
			out[key] = nil
		}
	}
	return out
}

// all makes records of a whole table.
func (t table) all() changes {
	out := changes{}
	for key, now := range t {
		out[key] = &now
	}
	return out
}

func (c changes) apply(to table) {
	for key, now := range c {
		if now == nil {
			delete(to, key)
		} else {
			to[key] = *now
		}
	}
}

// encode writes length and key, length and value by turns; the value's length -1
// removes, the key's length -1 ends.
func (c changes) encode() []byte {
	var out []byte
	for _, key := range slices.Sorted(maps.Keys(c)) {
		out = binary.BigEndian.AppendUint32(out, 8)
		out = binary.BigEndian.AppendUint64(out, key)
		now := c[key]
		if now == nil {
			out = binary.BigEndian.AppendUint32(out, 0xffffffff)
			continue
		}
		out = binary.BigEndian.AppendUint32(out, 16)
		out = binary.BigEndian.AppendUint64(out, now.rows)
		out = binary.BigEndian.AppendUint64(out, now.sum)
	}
	return binary.BigEndian.AppendUint32(out, 0xffffffff)
}

func decode(data []byte) (changes, error) {
	out := changes{}
	in := bytes.NewReader(data)
	for {
		var key, rows, sum uint64
		var size int32
		if err := binary.Read(in, binary.BigEndian, &size); err != nil || size == -1 {
			return out, err
		}
		if err := readAll(in, &key, &size); err != nil {
			return nil, err
		}
		if size == -1 {
			out[key] = nil
			continue
		}
		if err := readAll(in, &rows, &sum); err != nil {
			return nil, err
		}
		out[key] = &counted{rows, sum}
	}
}

func readAll(in io.Reader, into ...any) error {
	for _, field := range into {
		if err := binary.Read(in, binary.BigEndian, field); err != nil {
			return fmt.Errorf("cut within a record: %w", err)
		}
	}
	return nil
}

const (
	blockMagic = "LZ4Block"
	blockRaw   = 0x16 // stored as it is, of up to 64 KiB
	blockSeed  = 0x9747b28c
	blockSum   = 0x0fffffff
	blockHead  = len(blockMagic) + 13
)

// compress writes the block stream of Spark's lz4 codec: blocks that are stored as
// they are, and the empty one at the end.
func compress(data []byte) []byte {
	var out []byte
	blocks := slices.Collect(slices.Chunk(data, 64<<10))
	for _, block := range append(blocks, nil) {
		sum := uint32(0)
		if len(block) > 0 {
			sum = xxhash.Checksum32S(block, blockSeed) & blockSum
		}
		out = append(append(out, blockMagic...), blockRaw)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
		out = binary.LittleEndian.AppendUint32(out, sum)
		out = append(out, block...)
	}
	return out
}

func decompress(data []byte) ([]byte, error) {
	if len(data) < 2*blockHead || string(data[:len(blockMagic)]) != blockMagic {
		return nil, fmt.Errorf("not a block stream of %d bytes", len(data))
	}
	size := int(binary.LittleEndian.Uint32(data[len(blockMagic)+1:]))
	if len(data) != 2*blockHead+size {
		return nil, fmt.Errorf("a block stream of %d bytes for a block of %d", len(data), size)
	}
	return data[blockHead : blockHead+size], nil
}

// StateFile makes a delta or a snapshot of about so many bytes, of keys with random
// values of 200 bytes.
func StateFile(rng *rand.Rand, size int) []byte {
	var out []byte
	for len(out) < size {
		value := make([]byte, 200)
		for i := 0; i < len(value); i += 8 {
			binary.BigEndian.PutUint64(value[i:], rng.Uint64())
		}
		out = binary.BigEndian.AppendUint32(out, 8)
		out = binary.BigEndian.AppendUint64(out, rng.Uint64())
		out = binary.BigEndian.AppendUint32(out, uint32(len(value)))
		out = append(out, value...)
	}
	return compress(binary.BigEndian.AppendUint32(out, 0xffffffff))
}

// hadoopChecksums is the content of the file that Hadoop's local file system keeps
// beside every other.
func hadoopChecksums(data []byte) []byte {
	out := []byte("crc\x00\x00\x00\x02\x00")
	for chunk := range slices.Chunk(data, 512) {
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
	}
	return out
}

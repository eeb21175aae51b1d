// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/OneOfOne/xxhash"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// errUnknownCodec says that content could not be judged, not that it is bad.
var errUnknownCodec = errors.New("compressed with a codec that is not known here")

// decompress opens a state file. The codec is the one that the offsets of the root
// record in spark.sql.streaming.stateStore.compression.codec: a short name or a
// class. Memory is bounded whatever the content says.
func decompress(codec string, body io.Reader) (io.ReadCloser, error) {
	codec = strings.ToLower(codec)
	switch {
	case codec == "", strings.Contains(codec, "lz4"):
		return io.NopCloser(&lz4Blocks{in: bufio.NewReader(body)}), nil
	case strings.Contains(codec, "zstd"):
		d, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return nil, errUnknownCodec
	}
}

// lz4Blocks reads the stream of blocks that net.jpountz's LZ4BlockOutputStream
// writes: "LZ4Block", a token (high half: method, low half: size class), the sizes
// compressed and not, a checksum of the content, the content; little-endian. An
// empty block ends a part, and parts may follow each other.
type lz4Blocks struct {
	in     *bufio.Reader
	packed []byte // buffer of what is read
	plain  []byte // buffer of what it decompresses to
	rest   []byte // what Read has not given out yet
	ended  bool   // the last block was an end mark
	err    error
}

const (
	lz4Magic     = "LZ4Block"
	lz4Header    = len(lz4Magic) + 13
	lz4Raw       = 0x10
	lz4Packed    = 0x20
	lz4Seed      = 0x9747b28c
	lz4Checksum  = 0x0fffffff // Java's Checksum drops the highest bits
	lz4SizeClass = 10         // size class 0 is 1 KiB
)

func (z *lz4Blocks) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if z.err == nil {
			z.err = z.next()
		}
		if z.err != nil {
			return 0, z.err
		}
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

func (z *lz4Blocks) next() error {
	var header [lz4Header]byte
	if _, err := io.ReadFull(z.in, header[:]); err != nil {
		if err == io.EOF && z.ended {
			return io.EOF
		}
		return readError(err, "ends without the end mark of its compression")
	}
	fields := header[len(lz4Magic):]
	token := fields[0]
	packed := int64(binary.LittleEndian.Uint32(fields[1:]))
	size := int64(binary.LittleEndian.Uint32(fields[5:]))
	sum := binary.LittleEndian.Uint32(fields[9:])
	most := int64(1) << (lz4SizeClass + token&0x0f)
	if string(header[:len(lz4Magic)]) != lz4Magic || token&0xf0 != lz4Raw && token&0xf0 != lz4Packed ||
		size > most || packed > most || (size == 0) != (packed == 0) || token&0xf0 == lz4Raw && size != packed {
		return malformed("holds a block whose header is damaged")
	}
	if z.ended = size == 0; z.ended {
		return nil
	}
	z.packed = grow(z.packed, packed)
	if _, err := io.ReadFull(z.in, z.packed); err != nil {
		return readError(err, "ends within a block")
	}
	block := z.packed
	if token&0xf0 == lz4Packed {
		z.plain = grow(z.plain, size)
		n, err := lz4.UncompressBlock(z.packed, z.plain)
		if err != nil || int64(n) != size {
			return malformed("holds a block that does not decompress")
		}
		block = z.plain
	}
	if xxhash.Checksum32S(block, lz4Seed)&lz4Checksum != sum {
		return malformed("holds a block whose checksum is wrong")
	}
	z.rest = block
	return nil
}

func grow(buffer []byte, size int64) []byte {
	if int64(cap(buffer)) < size {
		return make([]byte, size)
	}
	return buffer[:size]
}

// readError tells a file that ends too early from one that cannot be read.
func readError(err error, problem string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &formatError{problem}
	}
	return err
}

// records checks that a delta, a snapshot or a changelog decodes to its end, and
// returns the lineage that a changelog of checkpoint format 2 begins with.
func records(kind, codec string, body io.Reader) ([]lineage, error) {
	plain, err := decompress(codec, body)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	r := &recordReader{in: bufio.NewReaderSize(plain, 64<<10)}
	from, version, err := r.changelogHeader(kind)
	if err != nil {
		return nil, err
	}
	if version == 2 {
		err = r.tagged()
	} else {
		err = r.pairs()
	}
	if err != nil {
		return nil, decodeError(err)
	}
	if _, err := r.in.ReadByte(); err == nil {
		return nil, malformed("goes on after its last record")
	} else if err != io.EOF {
		return nil, decodeError(err)
	}
	return from, nil
}

// decodeError makes a formatError of what decoders say about bad content.
func decodeError(err error) error {
	var bad *formatError
	switch {
	case errors.As(err, &bad):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("ends within a record")
	case errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, zstd.ErrCRCMismatch), errors.Is(err, zstd.ErrReservedBlockType),
		errors.Is(err, zstd.ErrBlockTooSmall), errors.Is(err, zstd.ErrCompressedSizeTooBig), errors.Is(err, zstd.ErrUnexpectedBlockSize),
		errors.Is(err, zstd.ErrFrameSizeMismatch), errors.Is(err, zstd.ErrFrameSizeExceeded), errors.Is(err, zstd.ErrUnknownDictionary),
		errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrWindowSizeTooSmall), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return malformed("does not decompress: %v", err)
	}
	return err
}

// recordReader reads the records of a state file.
type recordReader struct{ in *bufio.Reader }

func (r *recordReader) int32() (int32, error) {
	var b [4]byte
	if _, err := io.ReadFull(r.in, b[:]); err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b[:])), nil
}

func (r *recordReader) skip(n int32) error {
	if n < 0 {
		return malformed("holds a record of %d bytes", n)
	}
	_, err := io.CopyN(io.Discard, r.in, int64(n))
	return err
}

// pairs reads key and value by turns up to the key length -1; value length -1
// means that the key was removed.
func (r *recordReader) pairs() error {
	for {
		n, err := r.int32()
		if err != nil {
			return err
		}
		if n == -1 {
			return nil
		}
		if err := r.skip(n); err != nil {
			return err
		}
		if err := r.value(); err != nil {
			return err
		}
	}
}

func (r *recordReader) value() error {
	n, err := r.int32()
	if err != nil || n == -1 {
		return err
	}
	return r.skip(n)
}

// Record types of changelogs with column families.
const (
	recordEnd    = 0x00
	recordPut    = 0x01
	recordDelete = 0x10
	recordMerge  = 0x11
)

func (r *recordReader) tagged() error {
	for {
		kind, err := r.in.ReadByte()
		if err != nil {
			return err
		}
		switch kind {
		case recordEnd:
			return nil
		case recordPut, recordDelete, recordMerge:
		default:
			return malformed("holds a record of the unknown type %#x", kind)
		}
		n, err := r.int32()
		if err != nil {
			return err
		}
		if err := r.skip(n); err != nil {
			return err
		}
		if err := r.value(); err != nil {
			return err
		}
	}
}

// lineage names a state file that a changelog builds upon.
type lineage struct {
	Version int64  `json:"version"`
	ID      string `json:"checkpointUniqueId"`
}

// changelogHeader reads the version of a changelog and its lineage. Version 1 has
// no header: its first four bytes are the length of a key.
func (r *recordReader) changelogHeader(kind string) ([]lineage, int, error) {
	if kind != "changelog" {
		return nil, 1, nil
	}
	start, err := r.in.Peek(4)
	if err != nil {
		return nil, 0, decodeError(err)
	}
	if start[0] != 0 || start[1] != 2 || start[2] != 'v' {
		return nil, 1, nil
	}
	version := int(start[3] - '0')
	if _, err := r.in.Discard(4); err != nil {
		return nil, 0, err
	}
	switch version {
	case 2:
		return nil, 2, nil
	case 3, 4:
		from, err := r.lineage()
		return from, version - 2, err
	}
	return nil, 0, malformed("is a changelog of the unknown version %q", string(start[2:]))
}

func (r *recordReader) lineage() ([]lineage, error) {
	var size [2]byte
	if _, err := io.ReadFull(r.in, size[:]); err != nil {
		return nil, decodeError(err)
	}
	text := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r.in, text); err != nil {
		return nil, decodeError(err)
	}
	var out []lineage
	if !strict(text, &out) {
		return nil, malformed("has a lineage that is not JSON: %s", clip(string(bytes.TrimSpace(text))))
	}
	return out, nil
}

// readLineage reads only the head of a changelog.
func readLineage(codec string, body io.Reader) ([]lineage, error) {
	plain, err := decompress(codec, body)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	from, _, err := (&recordReader{in: bufio.NewReader(plain)}).changelogHeader("changelog")
	return from, err
}

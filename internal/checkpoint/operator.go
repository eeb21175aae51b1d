// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"path"
	"strings"
)

// operatorMetadata describes a stateful operator (Spark 4.0 and later).
type operatorMetadata struct {
	// path of the file that it was read from.
	path string
	// version 2: transformWithState, and joins of state format 3.
	version int
	Info    struct {
		ID   int64  `json:"operatorId"`
		Name string `json:"operatorName"`
	} `json:"operatorInfo"`
	Stores []struct {
		Name       string   `json:"storeName"`
		Partitions int64    `json:"numPartitions"`
		Schemas    []string `json:"stateSchemaFilePaths"`
	} `json:"stateStoreInfo"`
}

// boundToPlace says whether the operator reads its schema files at the absolute
// paths that were recorded. Joins of state format 3 record paths too and start
// anywhere (seen with Spark 4.3.0).
func (m *operatorMetadata) boundToPlace() bool {
	return strings.HasPrefix(m.Info.Name, "transformWithState")
}

// mostPartitions bounds what a number in a file can make us look for. Spark's
// own limit on shuffle partitions is far below it in practice.
const mostPartitions = 1 << 20

func parseOperatorMetadata(p string, data []byte) (*operatorMetadata, error) {
	first, rest, _ := strings.Cut(string(data), "\n")
	m := &operatorMetadata{path: p}
	switch first {
	case "v1":
		m.version = 1
	case "v2":
		m.version = 2
	default:
		return nil, malformed("starts with %q; v1 and v2 are known", clip(first))
	}
	if err := json.Unmarshal([]byte(rest), m); err != nil {
		return nil, malformed("line 2 is not JSON: %v", err)
	}
	if len(m.Stores) == 0 {
		return nil, malformed("names no state store")
	}
	for _, s := range m.Stores {
		if s.Partitions < 1 || s.Partitions > mostPartitions {
			return nil, malformed("gives store %q %d partitions", clip(s.Name), s.Partitions)
		}
		if s.Name != "default" && (!validSourceID(s.Name) || !isStoreName(s.Name)) {
			return nil, malformed("names a store %q", clip(s.Name))
		}
	}
	return m, nil
}

// storeDir is the name by which the layout knows a store.
func storeDir(name string) string {
	if name == "default" {
		return ""
	}
	return name
}

// place normalises the location of a root: without scheme and authority of a
// local file system, without a slash at its end.
func place(location string) string {
	for _, scheme := range []string{"file://", "file:"} {
		if rest, ok := strings.CutPrefix(location, scheme); ok {
			location = rest
			break
		}
	}
	if strings.Contains(location, "://") {
		return strings.TrimSuffix(location, "/")
	}
	return path.Clean(location)
}

// within returns the path below the root at which a recorded absolute path lies.
func within(root, recorded string) (string, bool) {
	rest, ok := strings.CutPrefix(place(recorded), place(root)+"/")
	if !ok || rest == "" || path.Clean(rest) != rest || strings.HasPrefix(rest, "../") {
		return "", false
	}
	return rest, true
}

// parseSchema checks a state schema file of version 3: a header, the number of
// column families, and for each its name and four texts in pieces, of which the
// first two have a number before them.
func parseSchema(data []byte) error {
	r := &javaReader{data: data}
	version := r.utf()
	if r.bad || version == "" || version[0] != 'v' {
		return malformed("does not start with a version")
	}
	if version != "v3" {
		return nil // another layout; that it is there has to do
	}
	families := r.int32()
	for i := int32(0); i < families && !r.bad; i++ {
		r.utf()
		for text := range 4 {
			if text < 2 {
				r.int16()
			}
			pieces := r.int32()
			for p := int32(0); p < pieces && !r.bad; p++ {
				r.utf()
			}
		}
	}
	if r.bad || families < 1 {
		return malformed("is cut or damaged: it names %d column families and holds %d bytes", families, len(data))
	}
	return nil
}

// javaReader reads what java.io.DataOutputStream wrote.
type javaReader struct {
	data []byte
	bad  bool
}

func (r *javaReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.data) {
		r.bad = true
		return make([]byte, min(max(n, 0), 8))
	}
	out := r.data[:n]
	r.data = r.data[n:]
	return out
}

func (r *javaReader) int16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *javaReader) int32() int32  { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *javaReader) utf() string {
	n := int(r.int16())
	if r.bad {
		return ""
	}
	return string(r.take(n))
}

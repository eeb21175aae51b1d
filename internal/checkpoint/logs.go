// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// largest files that are read whole, in bytes. Offsets hold one number per Kafka
// partition and commits of checkpoint format 2 one id per store, so a few MiB are
// much already.
const (
	largestLogEntry = 64 << 20
	largestMetadata = 1 << 20
	largestSchema   = 64 << 20
)

// metadata is the file of that name.
type metadata struct {
	ID string `json:"id"`
}

func parseMetadata(data []byte) (metadata, error) {
	var m metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return m, malformed("is not a JSON object: %v", err)
	}
	if m.ID == "" {
		return m, malformed("has no id")
	}
	return m, nil
}

// offset is an entry of offsets.
type offset struct {
	version int
	// watermark in ms since 1970.
	watermark int64
	conf      map[string]string
	// ids of the sources in ascending order: 0, 1, … or names (offsets v2).
	ids       []string
	positions map[string]position
}

// position is how far a source was read.
type position struct {
	kind positionKind
	// number of a file source (the number of the newest entry of its log) or of a rate source.
	number int64
	// topics -> partition -> next offset, of Kafka.
	topics map[string]map[string]int64
	raw    string
}

type positionKind int

const (
	positionNone   positionKind = iota // "-": nothing read yet
	positionOther                      // of a source that this package does not know
	positionLog                        // {"logOffset":n}
	positionNumber                     // n
	positionKafka                      // {"topic":{"0":n}}
)

func parseOffset(data []byte) (*offset, error) {
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	o := &offset{positions: map[string]position{}}
	switch lines[0] {
	case "v1":
		o.version = 1
	case "v2":
		o.version = 2
	default:
		return nil, malformed("starts with %q; v1 and v2 are known", clip(lines[0]))
	}
	if len(lines) < 2 {
		return nil, malformed("ends after its first line")
	}
	if err := o.parseHeader(lines[1]); err != nil {
		return nil, err
	}
	for i, line := range lines[2:] {
		id, text := strconv.Itoa(i), line
		if o.version == 2 {
			var found bool
			if id, text, found = strings.Cut(line, ":"); !found || !validSourceID(id) {
				return nil, malformed("line %d is not <source>:<offset>", i+3)
			}
		}
		if _, twice := o.positions[id]; twice {
			return nil, malformed("names source %q twice", clip(id))
		}
		p, err := parsePosition(text)
		if err != nil {
			return nil, malformed("line %d: %v", i+3, err)
		}
		o.positions[id] = p
	}
	o.ids = slices.Sorted(maps.Keys(o.positions))
	return o, nil
}

func (o *offset) parseHeader(line string) error {
	if line == "" {
		return nil
	}
	var h struct {
		Watermark int64             `json:"batchWatermarkMs"`
		Conf      map[string]string `json:"conf"`
	}
	if err := json.Unmarshal([]byte(line), &h); err != nil {
		return malformed("line 2 is not JSON: %v", err)
	}
	o.watermark, o.conf = h.Watermark, h.Conf
	return nil
}

// validSourceID: it becomes the name of a directory.
func validSourceID(id string) bool {
	return id != "" && id != "." && id != ".." && !strings.ContainsAny(id, "/\\\x00")
}

func parsePosition(text string) (position, error) {
	if text == "-" {
		return position{kind: positionNone, raw: text}, nil
	}
	if !json.Valid([]byte(text)) {
		return position{}, malformed("is not JSON: %s", clip(text))
	}
	p := position{kind: positionOther, raw: text}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		p.kind, p.number = positionNumber, n
		return p, nil
	}
	var file struct {
		LogOffset *int64 `json:"logOffset"`
	}
	if strict([]byte(text), &file) && file.LogOffset != nil {
		p.kind, p.number = positionLog, *file.LogOffset
		return p, nil
	}
	var kafka map[string]map[string]int64
	if json.Unmarshal([]byte(text), &kafka) == nil && len(kafka) > 0 {
		p.kind, p.topics = positionKafka, kafka
	}
	return p, nil
}

func strict(data []byte, into any) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into) == nil
}

// wentBack says in which way p lies before an earlier position; empty: it does not.
func (p position) wentBack(earlier position) string {
	switch {
	case earlier.kind == positionNone || p.kind != positionNone && p.kind != earlier.kind:
		return ""
	case p.kind == positionNone:
		return "says that nothing was read, after " + clip(earlier.raw)
	case p.kind == positionLog || p.kind == positionNumber:
		if p.number < earlier.number {
			return "is at " + decimal(p.number) + ", after " + decimal(earlier.number)
		}
	case p.kind == positionKafka:
		return kafkaWentBack(p.topics, earlier.topics)
	}
	return ""
}

func kafkaWentBack(now, earlier map[string]map[string]int64) string {
	for _, topic := range slices.Sorted(maps.Keys(earlier)) {
		partitions, ok := now[topic]
		if !ok {
			return "lacks topic " + topic
		}
		for _, partition := range slices.Sorted(maps.Keys(earlier[topic])) {
			at, ok := partitions[partition]
			if !ok {
				return "lacks partition " + partition + " of topic " + topic
			}
			if before := earlier[topic][partition]; at < before {
				return "is at " + decimal(at) + " in partition " + partition + " of topic " + topic + ", after " + decimal(before)
			}
		}
	}
	return ""
}

// changedKind says that two positions cannot be of one source.
func (p position) changedKind(earlier position) bool {
	return p.kind != positionNone && earlier.kind != positionNone && p.kind != earlier.kind
}

// commit is an entry of commits.
type commit struct {
	version int
	// watermark of the next batch in ms since 1970.
	watermark int64
	// stateIDs of checkpoint format 2: operator -> partition -> store.
	stateIDs map[string][][]string
}

func parseCommit(data []byte) (*commit, error) {
	first, rest, found := strings.Cut(string(data), "\n")
	c := &commit{}
	switch first {
	case "v1", "v2", "v3":
		c.version = int(first[1] - '0')
	default:
		return nil, malformed("starts with %q; v1, v2 and v3 are known", clip(first))
	}
	if !found {
		return nil, malformed("ends after its first line")
	}
	var body struct {
		Watermark int64                 `json:"nextBatchWatermarkMs"`
		StateIDs  map[string][][]string `json:"stateUniqueIds"`
		Sinks     map[string]struct {
			Active bool `json:"isActive"`
		} `json:"sinkMetadataMap"`
	}
	if err := json.Unmarshal([]byte(rest), &body); err != nil {
		return nil, malformed("line 2 is not JSON: %v", err)
	}
	c.watermark, c.stateIDs = body.Watermark, body.StateIDs
	if c.version < 3 {
		return c, nil
	}
	if len(body.Sinks) == 0 {
		return nil, malformed("is of version 3 and names no sink")
	}
	for _, sink := range body.Sinks {
		if sink.Active {
			return c, nil
		}
	}
	return nil, malformed("names no active sink")
}

// clip shortens what a file says before it is quoted.
func clip(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

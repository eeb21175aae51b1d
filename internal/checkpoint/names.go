// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// temporary files are written before a rename; a kill leaves them, and nobody
// reads them.
var temporary = regexp.MustCompile(`^\.{1,2}.+\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(\.TID\d+)?\.tmp(\.crc)?$|^\.{1,2}.+\.tmp(\.crc)?$`)

// stateName is a file of a state store: its version, the id that checkpoint format
// 2 adds, and its kind.
var stateName = regexp.MustCompile(`^(\d{1,19})(?:_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))?\.(delta|snapshot|zip|changelog)$`)

func isTemporary(p string) bool { return temporary.MatchString(path.Base(p)) }

// ownPrefix begins the names of what the agent keeps in a root: marks, and what a
// rewind moved aside. None of it is the query's.
const ownPrefix = ".sparkpipeline-"

// hiddenCompanion is the path of the checksums that Hadoop's local file system
// writes beside a file.
func hiddenCompanion(p string) string { return path.Join(path.Dir(p), "."+path.Base(p)+".crc") }

// companionOf returns the file that a hidden companion belongs to.
func companionOf(p string) (string, bool) {
	name := path.Base(p)
	if !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".crc") || len(name) <= len(".")+len(".crc") {
		return "", false
	}
	return path.Join(path.Dir(p), name[1:len(name)-len(".crc")]), true
}

// isCompanion tells checksums of either kind from content.
func isCompanion(p string) bool {
	return strings.HasSuffix(p, ".crc")
}

// number reads a name as Spark does: decimal, and padding zeros count as nothing.
// canonical says whether Spark would write it so.
func number(name string) (n int64, canonical, ok bool) {
	if name == "" || len(name) > 19 || strings.Trim(name, "0123456789") != "" {
		return 0, false, false
	}
	n, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return 0, false, false
	}
	return n, strconv.FormatInt(n, 10) == name, true
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

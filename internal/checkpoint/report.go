// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"cmp"
	"slices"
)

// Levels of verification. A level judges what the ones before it leave open, and
// costs more.
const (
	LevelNames     = 1 // names, empty files, gaps; listing only
	LevelNumbers   = 2 // newest offset against newest commit; listing only
	LevelLogs      = 3 // content of metadata, offsets, commits
	LevelStructure = 4 // state and source logs are complete; listing and small files
	LevelContent   = 5 // zips, shared files of RocksDB, records of state files
	LevelChecksums = 6 // both kinds of companions; reads everything
	LevelRecord    = 7 // hashes that were recorded earlier; reads what was recorded
)

// Severity of a finding. Only errors make a root unhealthy.
type Severity string

// Severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// Finding is one thing that is wrong with a root.
type Finding struct {
	Level    int      `json:"level"`
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`
	// Path below the root.
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Kinds of findings.
const (
	KindEmptyFile               = "empty-file"
	KindBadName                 = "bad-name"
	KindOrphanChecksum          = "orphan-checksum"
	KindOffsetsGap              = "offsets-gap"
	KindCommitsGap              = "commits-gap"
	KindCommitsAhead            = "commits-ahead"
	KindCommitsBehind           = "commits-behind"
	KindOffsetsMissing          = "offsets-missing"
	KindMetadataMissing         = "metadata-missing"
	KindMetadataInvalid         = "metadata-invalid"
	KindOffsetInvalid           = "offset-invalid"
	KindCommitInvalid           = "commit-invalid"
	KindSourceCount             = "source-count"
	KindSourceIDChanged         = "source-id-changed"
	KindSourceWentBack          = "source-went-back"
	KindWatermarkWentBack       = "watermark-went-back"
	KindConfChanged             = "conf-changed"
	KindStateNotRebuildable     = "state-not-rebuildable"
	KindPartitionMissing        = "partition-missing"
	KindOperatorMissing         = "operator-missing"
	KindOperatorMetadataMissing = "operator-metadata-missing"
	KindStateSchemaMissing      = "state-schema-missing"
	KindSchemaPathElsewhere     = "schema-path-elsewhere"
	KindStateAhead              = "state-ahead"
	KindSourceLogGap            = "source-log-gap"
	KindSourceLogBehind         = "source-log-behind"
	KindSourceLogMissing        = "source-log-missing"
	KindZipCorrupt              = "zip-corrupt"
	KindSSTMissing              = "sst-missing"
	KindSSTSize                 = "sst-size"
	KindStateFileCorrupt        = "state-file-corrupt"
	KindChecksumMismatch        = "checksum-mismatch"
	KindContentChanged          = "content-changed"
	KindQueryIDChanged          = "query-id-changed"
	// KindSecondWriter is a trace of a second driver: a change of state that is
	// younger than the commit after it. A copy that did not keep times shows it too.
	KindSecondWriter = "second-writer"
	// KindNotJudged says what could not be looked into.
	KindNotJudged = "not-judged"
)

// Report is the judgement on a root, about its newest committed batch.
type Report struct {
	// Healthy: no finding of severity error.
	Healthy bool `json:"healthy"`
	// LastOffset and LastCommit are null when there is none.
	LastOffset *int64 `json:"lastOffset"`
	LastCommit *int64 `json:"lastCommit"`
	// InFlight: a batch was planned and is not done.
	InFlight bool `json:"inFlight"`
	// RestorableBatches are the committed batches whose restorable set is there
	// and holds no file that was found damaged on the levels that were judged.
	RestorableBatches []int64  `json:"restorableBatches"`
	Provider          Provider `json:"provider"`
	// Findings in ascending order of level and path.
	Findings []Finding `json:"findings"`
}

// Worst is the first finding that makes the root unhealthy; false: it is healthy.
func (r *Report) Worst() (Finding, bool) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Severity == SeverityError })
	if i < 0 {
		return Finding{}, false
	}
	return r.Findings[i], true
}

// mostFindings of one kind are told; what is wrong with a thousand partitions is
// told by the first ones.
const mostFindings = 20

func (r *Report) arrange() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(a.Path, b.Path))
	})
	told := map[string]int{}
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool {
		key := f.Kind + string(f.Severity)
		told[key]++
		return told[key] > mostFindings
	})
	r.Healthy = !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == SeverityError })
}

var rank = map[Severity]int{SeverityError: 0, SeverityWarning: 1, SeverityInfo: 2}

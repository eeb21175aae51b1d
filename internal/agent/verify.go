// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/kafka"
)

type verifyCommand struct {
	*agent
	store    storeFlags
	kafka    kafkaFlags
	ask      bool
	level    int
	as       string
	manifest string
	write    string
}

func (a *agent) verifyCommand() *cobra.Command {
	v := &verifyCommand{agent: a}
	cmd := &cobra.Command{
		Use:   "verify ROOT",
		Short: "Judge whether a checkpoint root can be gone on with",
		Long: `Judge the checkpoint root of one query: a directory, or s3://BUCKET/PREFIX.
Nothing is written, and a query may be running on it.

Levels, each judging what the ones before it leave open:
  1  names, empty files, gaps, checksums without their file
  2  newest offset against newest commit
  3  what metadata, offsets and commits say
  4  state and source logs are complete
  5  zips, files of RocksDB, records of state files
  6  checksums; everything is read

With brokers of Kafka the offsets from which the query goes on are judged too:
begin <= offset <= end in every partition.

Exit code: 0 healthy, 1 could not judge, 2 damaged, 35 to 38 Kafka.`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(v.run),
	}
	flags := cmd.Flags()
	v.store.add(flags)
	flags.IntVar(&v.level, "level", checkpoint.LevelChecksums, "highest level to judge, 1 to 6")
	flags.StringVar(&v.as, "as", "", "judge the root as if it stood at this path (default where it is)")
	flags.StringVar(&v.manifest, "manifest", "", "file of hashes that --write-manifest wrote earlier; what changed since is damage")
	flags.StringVar(&v.write, "write-manifest", "", "write the hashes of all files of the root to this new file, if it is healthy")
	v.kafka.add(flags)
	v.kafka.addAccept(flags)
	flags.BoolVar(&v.ask, "kafka", false, "also ask the brokers whether what the query reads next is still there (default if --kafka-brokers is given)")
	a.outputFlag(cmd)
	return cmd
}

func (v *verifyCommand) run(ctx context.Context, args []string) error {
	if err := checkLevel(v.level); err != nil {
		return err
	}
	ask, err := v.brokers()
	if err != nil {
		return err
	}
	defer ask.close()
	src, place, err := v.open(args[0])
	if err != nil {
		return err
	}
	if c, ok := src.(io.Closer); ok {
		defer c.Close()
	}
	o := checkpoint.Options{Level: v.level, Place: first(v.as, place)}
	if o.Record, err = v.readManifest(); err != nil {
		return withCode(CodeFailed, err)
	}
	p := v.newProgress()
	o.Progress = func(files int, bytes int64) {
		p.report(backup.Progress{Phase: "verify", Files: int64(files), Bytes: bytes})
	}
	report, err := checkpoint.Verify(ctx, src, o)
	p.done()
	if errors.Is(err, checkpoint.ErrNoRoot) {
		err = v.noRoot(ctx, src, err)
	}
	if err != nil {
		return withCode(CodeFailed, fmt.Errorf("verify %s: %w", args[0], err))
	}
	result := verifyResult{Report: report}
	if ask.given() && report.Healthy {
		if result.Kafka, err = judgeKafka(ctx, ask, src, nil, v.kafka.accept); err != nil {
			return withCode(CodeFailed, fmt.Errorf("verify %s: %w", args[0], err))
		}
	}
	if err := v.print(result, result.text); err != nil {
		return err
	}
	if f, damaged := report.Worst(); damaged {
		return withCode(CodeFinding, fmt.Errorf("%s is damaged: %s %s", args[0], f.Path, f.Message))
	}
	if err := unfit(result.Kafka); err != nil {
		return fmt.Errorf("%s would not go on with its Kafka sources: %w", args[0], err)
	}
	return withCode(CodeFailed, v.writeManifest(ctx, src))
}

// verifyResult is the report and, if brokers were asked, what they said.
type verifyResult struct {
	*checkpoint.Report
	Kafka []kafka.Finding `json:"kafka,omitempty"`
}

func (r verifyResult) text(w io.Writer) {
	writeReport(w, r.Report)
	writeKafka(w, r.Kafka)
}

// brokers are asked only if that is wanted: a root can be judged without them.
func (v *verifyCommand) brokers() (*brokers, error) {
	c, err := v.config()
	if err != nil {
		return nil, err
	}
	ask, err := v.kafka.open(c)
	switch {
	case err != nil:
		return nil, err
	case v.ask && !ask.given():
		return nil, usage("--kafka is given and there are no brokers; set --kafka-brokers, or sources.kafka in the file of --config")
	case !v.ask && v.kafka.brokers == "":
		return &brokers{}, nil
	}
	return ask, nil
}

// checkLevel refuses a level that there is not.
func checkLevel(level int) error {
	if level < checkpoint.LevelNames || level > checkpoint.LevelChecksums {
		return usage("--level is %d; allowed are %d to %d", level, checkpoint.LevelNames, checkpoint.LevelChecksums)
	}
	return nil
}

// open opens a root on a file system or in a bucket, and says where it is.
func (v *verifyCommand) open(root string) (checkpoint.Source, string, error) {
	if bucket, prefix, ok := splitLocation(strings.Replace(root, "s3://", "s3a://", 1)); ok {
		c, err := v.config()
		if err != nil {
			return nil, "", err
		}
		store, err := v.connect(v.store.options(c, bucket))
		if err != nil {
			return nil, "", err
		}
		return checkpoint.Store{Objects: store, Prefix: prefix}, "s3a://" + bucket + "/" + strings.TrimSuffix(prefix, "/"), nil
	}
	place, err := filepath.Abs(root)
	if err != nil {
		return nil, "", withCode(CodeFailed, fmt.Errorf("find %s: %w", root, err))
	}
	dir, err := checkpoint.OpenDir(root)
	if err != nil {
		return nil, "", withCode(CodeFailed, err)
	}
	return dir, place, nil
}

// noRoot names the roots that lie below a directory that is none.
func (v *verifyCommand) noRoot(ctx context.Context, src checkpoint.Source, err error) error {
	roots, findErr := checkpoint.FindRoots(ctx, src)
	if findErr != nil || len(roots) == 0 {
		return err
	}
	const most = 10
	more := ""
	if len(roots) > most {
		more = fmt.Sprintf(" and %d more", len(roots)-most)
		roots = roots[:most]
	}
	return fmt.Errorf("%w; below it are the roots %s%s", err, strings.Join(roots, ", "), more)
}

func (v *verifyCommand) readManifest() (*checkpoint.Record, error) {
	if v.manifest == "" {
		return nil, nil
	}
	file, err := os.Open(v.manifest)
	if err != nil {
		return nil, fmt.Errorf("read --manifest: %w", err)
	}
	defer file.Close()
	r, err := checkpoint.ReadRecord(file)
	if err != nil {
		return nil, fmt.Errorf("--manifest %s: %w", v.manifest, err)
	}
	return r, nil
}

func (v *verifyCommand) writeManifest(ctx context.Context, src checkpoint.Source) error {
	if v.write == "" {
		return nil
	}
	record, err := checkpoint.MakeRecord(ctx, src)
	if err != nil {
		return fmt.Errorf("hash the files of the root: %w", err)
	}
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("write --write-manifest: %w", err)
	}
	// Never over an earlier one: it may be the only witness.
	file, err := os.OpenFile(v.write, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write --write-manifest: %w", err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write --write-manifest: %w", err)
	}
	return nil
}

func writeReport(w io.Writer, r *checkpoint.Report) {
	verdict := "healthy"
	if !r.Healthy {
		verdict = "damaged"
	}
	fmt.Fprintf(w, "Verdict:\t%s\n", verdict)
	fmt.Fprintf(w, "Newest batch planned:\t%s\n", batch(r.LastOffset))
	fmt.Fprintf(w, "Newest batch committed:\t%s\n", batch(r.LastCommit))
	fmt.Fprintf(w, "In flight:\t%v\n", r.InFlight)
	fmt.Fprintf(w, "State stores:\t%s\n", r.Provider)
	fmt.Fprintf(w, "Restorable batches:\t%s\n", ranges(r.RestorableBatches))
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nLEVEL\tSEVERITY\tKIND\tPATH\tMESSAGE\n")
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", f.Level, f.Severity, f.Kind, f.Path, f.Message)
	}
}

func batch(n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

// ranges writes ascending numbers briefly: 0-4, 7.
func ranges(numbers []int64) string {
	if len(numbers) == 0 {
		return "none"
	}
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		part := fmt.Sprint(numbers[i])
		if end > i {
			part += "-" + fmt.Sprint(numbers[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

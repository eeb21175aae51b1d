// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/checkpoint"
	"sparkpipeline.dev/operator/internal/snapshot"
)

// Exit codes of snapshot.
const (
	CodeSnapshotNoAPI        = 60
	CodeSnapshotNotAllowed   = 61
	CodeSnapshotClaim        = 62
	CodeSnapshotCannot       = 63
	CodeSnapshotNoClass      = 64
	CodeSnapshotFailed       = 65
	CodeSnapshotSlow         = 66
	CodeSnapshotNoController = 67
	CodeSnapshotGone         = 68
	CodeSnapshotUnreachable  = 69
)

var codeOfSnapshot = map[snapshot.Reason]int{
	snapshot.NoAPI: CodeSnapshotNoAPI, snapshot.NotAllowed: CodeSnapshotNotAllowed, snapshot.ClaimUnusable: CodeSnapshotClaim,
	snapshot.CannotSnapshot: CodeSnapshotCannot, snapshot.NoClass: CodeSnapshotNoClass, snapshot.Failed: CodeSnapshotFailed,
	snapshot.Slow: CodeSnapshotSlow, snapshot.NoController: CodeSnapshotNoController, snapshot.Gone: CodeSnapshotGone,
	snapshot.Unreachable: CodeSnapshotUnreachable,
}

// Labels of a snapshot, as on the operator's children.
const (
	labelPipeline          = "sparkpipeline.dev/pipeline"
	labelPipelineNamespace = "sparkpipeline.dev/pipeline-namespace"
)

// snapshotResult is what snapshot prints.
type snapshotResult struct {
	*snapshot.Result
	// Absent roots have nothing to go on with yet, with the reason.
	Absent map[string]string `json:"absent,omitempty"`
}

type snapshotCommand struct {
	*agent
	root    string
	without []string
	level   int
	within  time.Duration
	keepAll bool
	// api connects to the API server.
	api func(namespace string) (snapshot.API, error)
	now func() time.Time
	// sleep waits between two looks.
	sleep func(ctx context.Context, d time.Duration) error
}

func (a *agent) snapshotCommand() *cobra.Command {
	c := &snapshotCommand{agent: a, api: connectCluster, now: time.Now, sleep: sleep}
	if a.snapshots != nil {
		a.snapshots(c)
	}
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Take a snapshot of the checkpoint's volume, while the pipeline runs",
		Long: `Judge the live query roots, take a CSI VolumeSnapshot of the checkpoint's claim,
look whether what was judged is still there, write on the snapshot what is in it, wait
until it is ready to use, and remove those that are too old. The newest verified one
stays whatever its age. Needs --config, and the API server: from inside a pod, or
through $KUBECONFIG.

Exit code: 0 there is a verified snapshot, 2 there is one that is not to be relied
on, 60 no VolumeSnapshot API, 61 not allowed, 62 the claim is missing or unusable,
63 the storage cannot snapshot, 64 no VolumeSnapshotClass, 65 the driver failed,
66 not ready in time, 67 no snapshot controller, 68 deleted by somebody, 69 the API
server does not answer.`,
		Args: cobra.NoArgs,
		RunE: a.run(c.run),
	}
	flags := cmd.Flags()
	flags.StringVar(&c.root, "root", "", "directory where the claim is mounted (default the configuration's)")
	flags.StringArrayVar(&c.without, "without", nil, "query root that the newest verified snapshot has and this one may lack; may be repeated")
	flags.IntVar(&c.level, "level", checkpoint.LevelStructure, "highest level of verification, 1 to 6; from 5 on the state is read")
	flags.DurationVar(&c.within, "within", 45*time.Minute, "how long the snapshot may take until it is ready")
	flags.BoolVar(&c.keepAll, "keep-all", false, "remove no old snapshot")
	a.outputFlag(cmd)
	return cmd
}

func (c *snapshotCommand) run(ctx context.Context, _ []string) error {
	if err := checkLevel(c.level); err != nil {
		return err
	}
	if c.within <= 0 {
		return usage("--within is %s; allowed is more than 0, such as 45m", c.within)
	}
	conf, err := c.config()
	if err != nil {
		return err
	}
	at, err := c.mounted(conf)
	if err != nil {
		return err
	}
	api, err := c.api(conf.WorkloadNamespace)
	if err != nil {
		return withCode(CodeUsage, fmt.Errorf("find the API server: %w", err))
	}
	p := c.newProgress()
	defer p.done()
	look := &liveLook{at: at, declared: conf.QueryPaths(), without: c.without, level: c.level, progress: p}
	result, err := c.taker(conf, api, look, p).Take(ctx)
	p.done()
	if refusal, ok := errors.AsType[*snapshot.Refusal](err); ok {
		err = withCode(codeOfSnapshot[refusal.Reason], err)
	} else if errors.Is(err, snapshot.ErrNotVerified) {
		err = withCode(CodeFinding, err)
	}
	if result == nil {
		return err
	}
	shown := snapshotResult{result, look.absent}
	return join(err, c.print(shown, shown.text))
}

// mounted is where the claim of the checkpoint can be read.
func (c *snapshotCommand) mounted(conf *config.Config) (directory, error) {
	switch {
	case conf == nil:
		return directory{}, usage("--config is missing; it says whose snapshot is to be taken, and of which claim")
	case conf.Claim == "" || conf.WorkloadNamespace == "":
		return directory{}, usage("claim or workloadNamespace is empty in the file of --config; a checkpoint in a bucket has no volume to take a snapshot of")
	}
	root := first(c.root, conf.Root)
	if _, err := os.Stat(root); err != nil {
		return directory{}, withCode(CodeNotCheckpoint, fmt.Errorf("claim %s is not mounted: %w", conf.Claim, err))
	}
	return directory{root}, nil
}

func (c *snapshotCommand) taker(conf *config.Config, api snapshot.API, look *liveLook, p *progress) *snapshot.Taker {
	t := &snapshot.Taker{
		API: api, PipelineUID: conf.Pipeline.UID, Prefix: conf.Pipeline.Name + "-",
		Labels: map[string]string{labelPipeline: conf.Pipeline.Name, labelPipelineNamespace: conf.Pipeline.Namespace,
			"app.kubernetes.io/managed-by": "sparkpipeline-operator"},
		Claim: conf.Claim, Class: conf.Backup.Snapshot.VolumeSnapshotClassName,
		Within: c.within, Look: look.look, Now: c.now, Sleep: c.sleep,
		Flush: func() error { return flush(look.at.path) },
		Report: func(stage snapshot.Stage, elapsed time.Duration) {
			p.waits(backup.Phase(stage), elapsed)
		},
	}
	if !c.keepAll && conf.Backup.Snapshot.Retention != "" {
		t.KeepFor = conf.Backup.Snapshot.Retention.Duration()
	}
	return t
}

// flush has the file system below a directory written out.
func flush(path string) error {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return backup.SyncAll(dir)
}

// requestTimeout bounds one request, so that an API server that hangs is noticed.
const requestTimeout = 30 * time.Second

// connectCluster finds the API server as kubectl does: by $KUBECONFIG, or by the
// service account of the pod.
func connectCluster(namespace string) (snapshot.API, error) {
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	restConfig.Timeout = requestTimeout
	return snapshot.Connect(restConfig, namespace)
}

func (r snapshotResult) text(w io.Writer) {
	state := "not ready"
	switch {
	case r.Verified:
		state = "verified"
	case r.Ready:
		state = "not verified"
	}
	fmt.Fprintf(w, "Snapshot %s of claim %s: %s.\n", r.Name, r.Claim, state)
	fmt.Fprintln(w, "ROOT\tBATCH\tFILES\tSIZE\tSTATE STORE")
	for _, root := range r.Roots {
		number := "none"
		if root.Batch >= 0 {
			number = fmt.Sprint(root.Batch)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", root.Root, number, root.Files, size(root.Bytes), root.Provider)
	}
	for _, root := range slices.Sorted(maps.Keys(r.Absent)) {
		fmt.Fprintf(w, "%s\tnothing yet: %s\n", root, r.Absent[root])
	}
	if r.Problem != "" {
		fmt.Fprintf(w, "Problem: %s\n", r.Problem)
	}
	if len(r.Removed) > 0 {
		fmt.Fprintf(w, "Removed, since they were too old: %s\n", strings.Join(r.Removed, ", "))
	}
}
